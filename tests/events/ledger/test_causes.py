"""Open problems, grouped by their cause."""

from datetime import timedelta

import pytest

from events.ledger import causes
from events.ledger.causes import open_causes
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


def test_problems_are_grouped_by_their_cause():
    make_customer(external_id="acme")
    tokens = make_feature(event_name="model.usage", field="tokens")
    for number in range(3):
        send("Model.Usage", customer="acme", at=NOON + timedelta(minutes=number))
    send("model.usage", customer="acme", tokens="12")
    send("model.usage", customer="stranger", tokens=1)
    send("Model.Usage", customer="stranger")
    process()
    figures = {
        (cause.reason.value, cause.event_name, cause.external_id): (cause.problems, cause.customers, cause.feature)
        for cause in open_causes()
    }
    assert figures == {
        ("unknown_event_name", "Model.Usage", ""): (4, 2, None),
        ("not_a_number", "model.usage", ""): (1, 1, tokens),
        ("unknown_customer", "", "stranger"): (2, 1, None),
    }


def test_the_largest_cause_comes_first_with_its_times():
    make_customer(external_id="acme")
    send("other", at=NOON)
    send("wrong", at=NOON - timedelta(days=1))
    send("wrong", at=NOON + timedelta(hours=1))
    process()
    first = open_causes()[0]
    assert (first.event_name, first.first_at, first.last_at) == (
        "wrong",
        NOON - timedelta(days=1),
        NOON + timedelta(hours=1),
    )


def test_a_large_cause_is_read_up_to_the_cap(monkeypatch):
    monkeypatch.setattr(causes, "PROBLEMS_READ", 2)
    make_customer(external_id="acme")
    for _ in range(3):
        send("wrong")
    process()
    (cause,) = open_causes()
    assert (cause.problems, cause.is_capped) == (2, True)


def test_causes_cost_two_queries_however_many(django_assert_num_queries):
    make_customer(external_id="acme")
    for number in range(30):
        send(f"wrong-{number}")
        send("model.usage", customer=f"stranger-{number}")
    process()
    make_feature(event_name="model.usage", field="tokens")
    with django_assert_num_queries(1):  # no problem concerns a feature: those would be read in a second
        assert len(open_causes()) == 61
