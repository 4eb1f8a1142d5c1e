"""The lookup of an event in the public API's shape: counted, waiting and failed events."""

from datetime import timedelta
from decimal import Decimal

import pytest

from customers.subscriptions import cancel, pause
from events.api.tracker import lookup
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def acme():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def tokens():
    return make_feature(name="Tokens", event_name="model.usage", field="tokens")


@pytest.fixture
def subscription(acme, tokens):
    return make_subscription(customer=acme, plan=make_version({"feature": tokens}))


def test_a_counted_event_is_processed_with_its_prices(subscription, acme, tokens):
    event_id = send("model.usage", tokens=Decimal("2.50"))
    process()
    answer = lookup(event_id, now=LATER)
    assert answer["status"] == "processed"
    assert answer["debug_tracker"] is None
    [item] = answer["processed_events"]
    assert (item["qty_total"], item["customer_id"], item["feature_id"]) == ("2.50", acme.public_id, tokens.public_id)
    assert item["subscription_id"] == subscription.public_id
    assert item["price_id"] == tokens.prices.get().public_id
    assert answer["event"]["properties"] == {"tokens": Decimal("2.50")}


def failure_of(event_id):
    answer = lookup(event_id, now=LATER)
    assert (answer["status"], answer["processed_events"]) == ("failed", None)
    failure = answer["debug_tracker"]["failure_point"]
    return failure["failure_point_type"], failure["error"]["code"]


def sent_event():
    event_id = send("model.usage", tokens=1)
    process()
    return event_id


def test_usage_that_no_plan_prices_fails_at_the_price(acme, tokens):
    event_id = sent_event()
    assert failure_of(event_id) == ("price_lookup", "feature_not_in_plan")
    tracker = lookup(event_id, now=LATER)["debug_tracker"]
    assert (tracker["price_lookup"]["status"], tracker["subscription_line_item_lookup"]["status"]) == (
        "not_found",
        "unprocessed",
    )


def test_usage_without_a_subscription_fails_at_the_subscription(acme, tokens):
    make_version({"feature": tokens})
    event_id = sent_event()
    assert failure_of(event_id) == ("subscription_line_item_lookup", "no_subscription_at_time")
    tracker = lookup(event_id, now=LATER)["debug_tracker"]
    assert (tracker["price_lookup"]["status"], tracker["subscription_line_item_lookup"]["status"]) == (
        "found",
        "not_found",
    )


def test_usage_that_only_another_plan_prices_fails_at_the_subscription(acme, tokens):
    make_version({"feature": tokens})
    make_subscription(customer=acme)
    assert failure_of(sent_event()) == ("subscription_line_item_lookup", "feature_not_in_plan")


def test_usage_after_the_subscriptions_end_or_in_a_pause_fails_at_the_subscription(subscription):
    event_id = sent_event()
    pause(subscription, at=NOON - timedelta(days=1), now=NOON, by=None, reason="Holiday")
    assert failure_of(event_id) == ("subscription_line_item_lookup", "subscription_paused")
    [item] = lookup(event_id, now=LATER)["debug_tracker"]["subscription_line_item_lookup"]["matched_line_items"]
    assert item["is_active_for_event"] is False
    cancel(subscription, at=NOON - timedelta(days=2), now=NOON, by=None, reason="Left")
    assert failure_of(event_id) == ("subscription_line_item_lookup", "subscription_ended")


def test_usage_in_a_trial_is_processed(acme, tokens):
    make_subscription(customer=acme, plan=make_version({"feature": tokens}), trial_days=365)
    assert lookup(sent_event(), now=LATER)["status"] == "processed"


@pytest.mark.parametrize(
    ("sent", "point", "code"),
    [
        ({"customer": "nobody"}, "customer_lookup", "unknown_customer"),
        ({"event_name": "Model.Usage"}, "meter_lookup", "unknown_event_name"),
        ({"tokens": "many"}, "attributed_to_customer", "not_a_number"),
    ],
)
def test_an_uncounted_event_names_its_failure_point(subscription, sent, point, code):
    event_id = send(**{"event_name": "model.usage", "tokens": 1} | sent)
    process()
    answer = lookup(event_id, now=LATER)
    failure = answer["debug_tracker"]["failure_point"]
    assert (answer["status"], failure["failure_point_type"], failure["error"]["code"]) == ("failed", point, code)
    assert answer["processed_events"] is None
    assert [step["step"] for step in answer["steps"]][:3] == ["request", "shape", "event_name"]


def test_the_tracker_shows_the_result_of_each_step(subscription, acme, tokens):
    event_id = send("model.usage", tokens="many")
    process()
    tracker = lookup(event_id, now=LATER)["debug_tracker"]
    assert (tracker["customer_lookup"]["status"], tracker["customer_lookup"]["customer"]["id"]) == (
        "found",
        acme.public_id,
    )
    assert tracker["meter_matching"]["matched_meters"][0]["meter_id"] == tokens.public_id
    assert tracker["price_lookup"]["status"] == "found"
    [item] = tracker["subscription_line_item_lookup"]["matched_line_items"]
    assert (item["subscription_id"], item["timestamp_within_range"]) == (subscription.public_id, True)


def test_steps_after_one_without_matches_are_unprocessed(acme):
    event_id = send("nothing.like.it")
    process()
    tracker = lookup(event_id, now=LATER)["debug_tracker"]
    assert tracker["meter_matching"]["status"] == "not_found"
    assert tracker["price_lookup"]["status"] == "unprocessed"
    assert tracker["subscription_line_item_lookup"]["status"] == "unprocessed"


def test_a_waiting_event_is_processing(subscription):
    answer = lookup(send("model.usage", tokens=1), now=LATER)
    assert (answer["status"], answer["debug_tracker"]["failure_point"]) == ("processing", None)


def test_an_unknown_event_or_one_of_another_customer_has_no_answer(subscription):
    event_id = send("model.usage", tokens=1)
    assert lookup("never-seen", now=LATER) is None
    assert lookup(event_id, now=LATER, external_customer_id="other") is None
    assert lookup(event_id, now=LATER, external_customer_id="acme") is not None
