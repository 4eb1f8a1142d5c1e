"""What the admin explains is in the API: dry runs, unbilled usage, duplicates, refused requests, single events."""

import pytest
from django.core.cache import caches

from events.ledger.processing import process_batch
from events.models import Event
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
EVENT = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": "a/b"}


@pytest.fixture
def calls():
    return make_feature(name="Calls")


def test_a_dry_run_tells_whether_an_event_would_count_and_stores_nothing(api, calls):
    payload = '{"event_name": "api.calls", "external_customer_id": "acme"}'
    refused = api.post("events/dry-run", {"payload": payload})
    assert refused["headline"] == "It would not count"
    step = next(step for step in refused["steps"] if step["reason"] == "unknown_customer")
    assert step["fixes"][0]["parameters"] == {"external_id": "acme", "name": "acme"}
    make_subscription(customer=make_customer(external_id="acme"), plan=make_version({"feature": calls}))
    assert api.post("events/dry-run", {"payload": payload})["headline"] == "It would count"
    curl = f"curl https://billing.example.com/v1/events -H 'x-api-key: none' -d '{payload}'"
    steps = api.post("events/dry-run", {"payload": curl})["steps"]
    assert (steps[0]["step"], steps[0]["reason"]) == ("request", "unauthorized")
    assert api.post("events/dry-run", {"payload": "nothing"})["events"] == 0
    assert not Event.objects.exists()


def test_an_event_is_retrieved_by_its_id(api, calls):
    api.post("events", EVENT, 202)
    process_batch()
    assert api.get("events/a/b") == api.get("events/lookup", id="a/b")
    assert api.get("events/a/b", external_customer_id="acme")["event"]["id"] == "a/b"
    api.get("events/a/b", 404, external_customer_id="other")
    api.get("events/none", 404)


def test_unbilled_usage_is_listed_with_its_reason(api, calls):
    caches["figures"].clear()
    customer = make_customer(external_id="acme")
    api.post("events", EVENT, 202)
    process_batch()
    [row] = api.get("events/unbilled")["items"]
    assert (row["reason"], row["customers"], row["customer_id"], row["events"]) == (
        "no_subscription_at_time",
        1,
        customer.public_id,
        1,
    )


def test_duplicates_and_refused_requests_are_listed(api, calls):
    for name in ("api.calls", "api.calls", "other"):
        api.post("events", EVENT | {"event_name": name}, 202)
        process_batch()
    rows = {row["kind"]: row for row in api.get("events/duplicates")["items"]}
    assert (rows["same"]["count"], rows["same"]["body"]) == (1, None)
    assert rows["conflict"]["body"]["event_name"] == "other"
    assert api.get("events/duplicates", kind="conflict")["pagination"]["total"] == 1
    api.post("events", {"event_name": "api.calls"}, 400)
    assert api.get("usage/checks")["items"] == []
    [refused] = api.get("requests/refused")["items"]
    assert (refused["status"], refused["path"], refused["field"]) == (400, "/v1/events", "external_customer_id")


def test_conflicts_are_read_by_cause_and_dismissed(api, calls):
    for source in ("gateway", "batch"):
        api.post("events", EVENT | {"source": source}, 202)
        process_batch()
    [conflict] = api.get("events/conflicts")["items"]
    assert (conflict["difference"], conflict["events"], conflict["sources"]) == ("source", 1, ["batch"])
    [row] = api.get("events/duplicates", state="open", differs="source,properties")["items"]
    assert (row["differs"], row["state"], row["api_key_id"]) == (["source"], "open", conflict["api_key_id"])
    cause = {"api_key_id": conflict["api_key_id"], "difference": "source"}
    refused = api.post("events/conflicts/dismiss", {"cause": cause, "conflict_ids": [1], "reason": "Fixed"}, 400)
    assert refused["message"].endswith("Specify either conflict_ids or a cause.")
    api.post("events/conflicts/dismiss", {"cause": cause | {"api_key_id": "key_no"}, "reason": "Fixed"}, 404)
    answer = api.post("events/conflicts/dismiss", {"cause": cause, "reason": "The gateway was fixed"})
    assert answer == {"dismissed": 1, "has_more": False}
    assert api.get("events/conflicts")["items"] == []
    [row] = api.get("events/duplicates", state="dismissed")["items"]
    assert (row["state"], row["dismissal"]) == ("dismissed", "The gateway was fixed")
    assert api.post("events/conflicts/dismiss", {"conflict_ids": [int(row["id"])], "reason": "Again"})["dismissed"] == 0
