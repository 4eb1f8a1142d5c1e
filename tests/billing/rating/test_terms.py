"""The terms of a price."""

import pytest

from billing.rating.terms import Model, Terms


def test_a_model_may_come_as_its_name_and_an_unknown_one_is_refused():
    assert Terms("per_unit").model is Model.PER_UNIT  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="auction"):
        Terms("auction")  # type: ignore[arg-type]
