"""Problems through the API: listed, grouped by cause, replayed, dismissed."""

import pytest

from customers.accounts import save_customer
from customers.models import Customer
from events.ledger.processing import process_batch
from events.models import Event, EventState, Problem
from tests.api import Api
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


@pytest.fixture
def troubled(api: Api) -> Api:
    """Send two events of an unknown customer, and one with a string for a number."""
    make_feature(name="Tokens", event_name="tokens.used", field="tokens")
    make_customer(external_id="acme")
    for event_id, customer, tokens in (("a", "new", 1), ("b", "new", 2), ("c", "acme", "3")):
        event = {"event_name": "tokens.used", "external_customer_id": customer, "event_id": event_id}
        api.post("events", event | {"properties": {"tokens": tokens}}, status=202)
    process_batch()
    return api


def test_problems_are_listed_newest_first_and_filtered(troubled):
    found = troubled.get("problems")
    assert sorted((one["event_id"], one["reason"], one["state"]) for one in found["items"]) == [
        ("a", "unknown_customer", "open"),
        ("b", "unknown_customer", "open"),
        ("c", "not_a_number", "open"),
    ]
    assert found["pagination"] == {"total": 3, "limit": 50, "offset": 0}
    assert troubled.get("problems", reason="unknown_customer", limit=1)["pagination"]["total"] == 2
    assert troubled.get("problems", external_customer_id="acme")["items"][0]["detail"]
    assert troubled.get("problems", state="dismissed,resolved")["items"] == []


def test_the_number_of_problems_does_not_change_query_count(troubled, django_assert_num_queries):
    for limit in (1, 3):
        with django_assert_num_queries(2):
            troubled.get("problems", limit=limit)


def test_problems_are_grouped_by_cause(troubled):
    causes = troubled.get("problems/causes")["items"]
    assert [(one["reason"], one["problems"], one["customers"]) for one in causes] == [
        ("unknown_customer", 2, 1),
        ("not_a_number", 1, 1),
    ]
    assert causes[0]["external_customer_id"] == "new"
    assert causes[0]["fix"]


def test_a_cause_is_replayed_once_it_is_fixed(troubled):
    cause = {"cause": {"reason": "unknown_customer", "external_customer_id": "new"}}
    assert troubled.post("problems/replay", cause) == {"events": 2, "closed": 0, "still_open": 2, "has_more": False}
    save_customer(Customer(external_id="new", name="New"), by=None)
    assert troubled.post("problems/replay", cause) == {"events": 2, "closed": 2, "still_open": 0, "has_more": False}
    assert Event.objects.filter(state=EventState.COUNTED).count() == 2
    assert troubled.post("problems/replay", cause)["events"] == 0


def test_problems_are_dismissed_with_a_reason(troubled):
    (problem,) = Problem.objects.filter(reason="not_a_number")
    chosen = {"problem_ids": [problem.pk]}
    assert "reason" in troubled.post("problems/dismiss", chosen, status=400)["details"]
    assert troubled.post("problems/dismiss", chosen | {"reason": "Old system"})["dismissed"] == 1
    assert troubled.get("problems", state="dismissed")["items"][0]["closing"] == "Old system"
    assert troubled.post("problems/dismiss", chosen | {"reason": "Again"})["dismissed"] == 0


def test_a_replay_without_problems_is_refused(troubled):
    assert troubled.post("problems/replay", {}, status=400)["message"] == (
        "Request validation failed: Specify either problem_ids or a cause."
    )
    Api("events:write", "read").post("problems/replay", {"problem_ids": [1]}, status=403)
