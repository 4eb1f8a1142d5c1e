"""The answer to an event warns about a number sent as text for a feature that doesn't accept it."""

import pytest

from catalog.features import accept_numeric_strings
from tests.factories import make_feature
from tests.process_state import clear_hints

pytestmark = pytest.mark.django_db(transaction=True)


def answer(api, path="events", **properties):
    event = {"event_name": "model.usage", "external_customer_id": "acme", "properties": properties}
    return api.post(path, event if path == "events" else {"events": [event]}, 202)


def test_a_number_sent_as_text_is_named_in_the_answer(api):
    make_feature(name="Tokens", event_name="model.usage", field="tokens", accept_numeric_strings=False)
    for path in ("events", "events/bulk"):
        warning = answer(api, path, tokens="150")["warning"]
        assert warning.startswith("tokens is the text “150”, and the feature Tokens counts only JSON numbers")


@pytest.mark.parametrize("tokens", [150, "many", "", None])
def test_other_values_get_no_warning(api, tokens):
    make_feature(name="Tokens", event_name="model.usage", field="tokens", accept_numeric_strings=False)
    assert "warning" not in answer(api, tokens=tokens)


def test_a_feature_that_accepts_text_gets_no_warning(api):
    feature = make_feature(name="Tokens", event_name="model.usage", field="tokens", accept_numeric_strings=False)
    assert "warning" in answer(api, tokens="150")
    accept_numeric_strings(feature, by=None)
    clear_hints()
    assert "warning" not in answer(api, tokens="150")
