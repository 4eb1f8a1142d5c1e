"""The independent rater agrees with the golden vectors of other billing systems."""

import pytest

from tests.billing.proofs.rater.vectors import CATEGORIES
from tests.conformance import driver
from tests.conformance.driver import Status
from tests.conformance.files import read


@pytest.fixture
def outcomes(monkeypatch):
    monkeypatch.setattr(driver, "CATEGORIES", CATEGORIES)
    return [
        driver.run_vector(file.category, vector)
        for file in read()
        if file.category in CATEGORIES
        for vector in file.vectors
    ]


def test_every_vector_that_is_asked_of_the_rater_passes(outcomes):
    failed = [outcome for outcome in outcomes if outcome.status == Status.FAILED and outcome.profile == "core"]
    assert not failed, "\n".join(f"{outcome.vector['id']}: {outcome.detail}" for outcome in failed)


def test_most_core_vectors_are_asked(outcomes):
    passed = [outcome for outcome in outcomes if outcome.status == Status.PASSED and outcome.profile == "core"]
    assert len(passed) == 432
