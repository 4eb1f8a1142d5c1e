"""Events through the API: lists, the diagnosis of one event, voiding, and monitoring."""

from typing import Any

import pytest

from catalog.models import Feature
from customers.models import Customer
from events.ledger.processing import process_batch
from events.models import Event, EventState
from tests.api import Api
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(api: Api) -> Api:
    """Send five events: three of Acme that count, one with a wrong value, one of an unknown customer."""
    make_feature(name="Tokens", event_name="tokens.used", field="tokens")
    make_customer(external_id="acme")
    for number, (customer, properties) in enumerate(
        [
            ("acme", {"tokens": 1, "model": "small"}),
            ("acme", {"tokens": 2.50, "model": "large"}),
            ("acme", {"tokens": 12345678901234567890, "model": "small"}),
            ("acme", {"tokens": "4"}),
            ("nobody", {"tokens": 5}),
        ]
    ):
        send(api, f"e{number}", customer, properties)
    process_batch()
    return api


def send(api: Api, event_id: str, customer: str, properties: dict[str, Any], **given: Any) -> None:
    event = {"event_name": "tokens.used", "external_customer_id": customer, "event_id": event_id}
    api.post("events", event | {"properties": properties} | given, status=202)


def ids(page: dict[str, Any]) -> list[str]:
    return [event["id"] for event in page["events"]]


def test_events_are_listed_most_recently_received_first_with_their_state(sent):
    page = sent.get("events")
    assert ids(page) == ["e4", "e3", "e2", "e1", "e0"]
    assert [event["state"] for event in page["events"]] == ["problem", "problem", "counted", "counted", "counted"]
    assert page["events"][0]["reasons"] == ["unknown_customer"]
    assert page["events"][1]["reasons"] == ["not_a_number"]
    assert page["has_more"] is False
    assert page["events"][2]["properties"] == {"tokens": 12345678901234567890, "model": "small"}


def test_cursors_lead_to_the_next_and_previous_page(sent):
    first = sent.post("events/query", {"page_size": 2})
    assert (ids(first), first["has_more"]) == (["e4", "e3"], True)
    second = sent.post("events/query", {"page_size": 2, "iter_last_key": first["iter_last_key"]})
    assert (ids(second), second["has_more"]) == (["e2", "e1"], True)
    last = sent.post("events/query", {"page_size": 2, "iter_last_key": second["iter_last_key"]})
    assert (ids(last), last["has_more"]) == (["e0"], False)
    back = sent.post("events/query", {"page_size": 2, "iter_first_key": last["iter_first_key"]})
    assert ids(back) == ["e2", "e1"]
    oldest = sent.post("events/query", {"order": "asc", "page_size": 2})
    assert ids(oldest) == ["e0", "e1"]
    assert ids(sent.post("events/query", {"order": "asc", "iter_last_key": oldest["iter_last_key"]})) == [
        "e2",
        "e3",
        "e4",
    ]
    assert "iter_last_key" in sent.post("events/query", {"iter_last_key": "1::gone"}, status=400)["details"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"external_customer_id": "nobody"}, ["e4"]),
        ({"external_customer_id": "acme", "event_name": "tokens.used", "state": "counted"}, ["e2", "e1", "e0"]),
        ({"event_name": "Tokens.used"}, []),
        ({"event_id": "e1"}, ["e1"]),
        ({"reason": "not_a_number"}, ["e3"]),
        ({"property_filters": {"model": ["large", "huge"]}}, ["e1"]),
        ({"end_time": "2020-01-01T00:00:00Z"}, []),
        ({"start_time": "2020-01-01T00:00:00Z", "source": ""}, ["e4", "e3", "e2", "e1", "e0"]),
        ({"offset": 3}, ["e1", "e0"]),
    ],
)
def test_events_are_filtered(sent, wanted, expected):
    assert ids(sent.post("events/query", wanted)) == expected


def test_a_list_accepts_property_filters_as_one_text(sent):
    assert ids(sent.get("events", property_filters="model:large,huge")) == ["e1"]
    assert sent.get("events", count_total="true")["total_count"] == 5
    sent.get("events", property_filters="model", status=400)
    assert "page_size" in sent.get("events", page_size=51, status=400)["details"]


@pytest.mark.hot
def test_page_size_does_not_change_query_count(sent, django_assert_num_queries):
    # the page, its open problems, its customers
    for size in (3, 5):
        with django_assert_num_queries(3):
            sent.post("events/query", {"page_size": size})


def test_the_lookup_of_a_billed_event_shows_the_added_quantity(sent):
    version = make_version({"feature": Feature.objects.get()})
    make_subscription(customer=Customer.objects.get(), plan=version)
    found = sent.get("events/lookup", id="e1", external_customer_id="acme")
    assert found["status"] == "processed"
    assert found["event"]["properties"] == {"tokens": 2.5, "model": "large"}
    assert [item["qty_total"] for item in found["processed_events"]] == ["2.5"]
    assert found["debug_tracker"] is None


def test_the_lookup_of_an_event_that_no_subscription_bills_says_so(sent):
    found = sent.get("events/lookup", id="e1", external_customer_id="acme")
    assert found["status"] == "failed"
    assert found["debug_tracker"]["failure_point"]["failure_point_type"] == "price_lookup"


def test_the_lookup_of_a_failed_event_shows_the_failure_and_later_steps(sent):
    found = sent.get("events/lookup", id="e3", external_customer_id="acme")
    assert found["status"] == "failed"
    assert found["debug_tracker"]["customer_lookup"]["status"] == "found"
    steps = {step["step"]: step for step in found["steps"]}
    assert steps["value"]["reason"] == "not_a_number"
    assert steps["value"]["feature_id"] == Feature.objects.get().public_id
    assert steps["invoice_line"]["status"] in ("info", "fail", "warning")
    unknown = sent.get("events/lookup", id="e4", external_customer_id="nobody")
    assert unknown["debug_tracker"]["failure_point"]["failure_point_type"] == "customer_lookup"


def test_a_lookup_finds_only_events_of_the_customer(sent):
    assert sent.get("events/lookup", id="e1", external_customer_id="nobody", status=404)["code"] == "not_found"
    sent.get("events/lookup", id="no such", external_customer_id="acme", status=404)
    sent.get("events/lookup", id="a\0b", external_customer_id="acme", status=404)
    assert sent.get("events/lookup", status=400)["details"] == {"id": ["This field is required."]}


def test_events_are_voided_once(sent):
    asked = {"event_ids": ["e0", "e1", "no such"], "reason": "Load test"}
    answer = {"voided": ["e0", "e1"], "already_voided": [], "final": [], "unknown": ["no such"]}
    assert sent.post("events/void", asked) == answer
    assert sent.post("events/void", asked)["already_voided"] == ["e0", "e1"]
    assert Event.objects.filter(state=EventState.VOIDED).count() == 2
    assert sent.post("events/void", {"event_ids": ["e2"]}, status=400)["details"] == {
        "reason": ["This field is required."]
    }


def test_voiding_requires_the_billing_scope(sent):
    reader = Api("read", "events:write")
    refused = reader.post("events/void", {"event_ids": ["e0"], "reason": "?"}, status=403)
    assert refused["message"] == "The API key lacks the scope billing:write."
    assert len(reader.post("events/query", {})["events"]) == 5
    assert Api("events:write").get("events", status=403)["message"] == "The API key lacks the scope read."


def test_monitoring_counts_the_last_24_hours(sent):
    send(sent, "waits", "acme", {"tokens": 1})
    found = sent.get("events/monitoring")
    assert (found["total_count"], found["consumption_lag"], len(found["points"])) == (5, 1, 24)
    assert sum(point["counted"] for point in found["points"]) == 3
    assert sum(point["problems"] for point in found["points"]) == 2
