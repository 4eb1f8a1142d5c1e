"""Usage with its cost through the API, and plan changes."""

from collections.abc import Callable, Sized
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.explanation import spending
from billing.invoicing.upcoming import upcoming
from customers.models import Subscription
from customers.subscriptions import change_plan
from events.fixing.fixed import replay_fixed_causes
from events.ledger.processing import process_batch
from events.usage import search
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(api, db: None) -> Subscription:
    """Subscribe Acme 3 days ago at $0.50 a token with 10 free, and use 8 two days ago and 7 (5 small) one day ago."""
    now = timezone.now()
    tokens = make_feature(name="Tokens", event_name="tokens.used", field="tokens")
    customer = make_customer(external_id="acme")
    version = make_version({"feature": tokens, "unit_amount": Decimal("0.50")}, free_units={tokens: 10}, name="Now")
    start = now - timedelta(days=3)
    subscription = make_subscription(customer=customer, plan=version, starts_at=start, now=start)
    for days, number, model in ((2, 8, "small"), (1, 5, "small"), (1, 2, "large")):
        source = {"source": "gateway"} if days == 1 else {}
        event = {
            "event_name": "tokens.used", "external_customer_id": "acme",
            "timestamp": (now - timedelta(days=days)).isoformat(), "properties": {"tokens": number, "model": model},
        }  # fmt: skip
        api.post("events", event | source, status=202)
    process_batch()
    return subscription


def test_a_subscriptions_usage_is_returned_with_its_cost(api, acme):
    found = api.post("subscriptions/usage", {"subscription_id": acme.public_id})
    # 15 tokens, 10 free: 5 × $0.50
    assert (found["amount"], found["currency"], found["display_amount"]) == (Decimal("2.50"), "USD", "$2.50")
    (charge,) = found["charges"]
    assert (charge["quantity"], charge["amount"], charge["meter_display_name"]) == (15, Decimal("2.50"), "Tokens")


def test_costs_of_adjacent_windows_add_up(api, acme):
    now = timezone.now()
    cut = now - timedelta(days=1, hours=12)
    first = {"start_time": now - timedelta(days=3), "end_time": cut}
    second = {"start_time": cut, "end_time": now}
    amounts = [
        api.post("subscriptions/usage", {"subscription_id": acme.public_id} | window)["amount"]
        for window in (first, second)
    ]
    # 8 tokens are free; of the next 7, 2 are
    assert amounts == [Decimal("0.00"), Decimal("2.50")]
    backwards = {"start_time": now, "end_time": cut, "subscription_id": acme.public_id}
    assert "end_time" in api.post("subscriptions/usage", backwards, status=400)["details"]


def test_analytics_return_usage_and_cost_of_each_feature(api, acme):
    found = api.post("events/analytics", {"external_customer_id": "acme", "group_by": ["feature_id"]})
    assert (found["currency"], found["total_cost"]) == ("USD", "2.50")
    (item,) = found["items"]
    assert (item["total_usage"], item["total_cost"], item["event_count"]) == ("15", "2.50", 3)
    assert item["aggregation_type"] == "SUM"
    daily = api.post("events/analytics", {"external_customer_id": "acme", "window_size": "DAY"})
    used = [point["usage"] for point in daily["items"][0]["points"] if point["usage"] != "0"]
    assert used == ["8", "7"]


def test_analytics_group_usage_by_event_properties(api, acme):
    asked = {"external_customer_id": "acme", "group_by": ["properties.model"]}
    items = api.post("events/analytics", asked)["items"]
    assert [(one["properties"], one["total_usage"], one["event_count"]) for one in items] == [
        ({"model": "large"}, "2", 1),
        ({"model": "small"}, "13", 2),
    ]
    filtered = {"external_customer_id": "acme", "property_filters": {"model": ["large"]}}
    assert api.post("events/analytics", filtered)["items"][0]["total_usage"] == "2"
    assert "group_by[0]" in api.post("events/analytics", asked | {"group_by": ["model"]}, status=400)["details"]
    api.post("events/analytics", {"external_customer_id": "nobody"}, status=404)


def test_analytics_group_usage_by_source_with_a_point_per_window(api, acme):
    """Of 15 tokens, 8 were sent without a source on the first day, and 7 by the gateway on the second."""
    asked = {"external_customer_id": "acme", "group_by": ["source"], "window_size": "DAY"}
    items = api.post("events/analytics", asked)["items"]
    assert [(one["source"], one["sources"], one["total_usage"]) for one in items] == [
        ("", [""], "8"),
        ("gateway", ["gateway"], "7"),
    ]
    used = [[point["usage"] for point in one["points"] if point["usage"] != "0"] for one in items]
    assert used == [["8"], ["7"]]
    both = api.post("events/analytics", asked | {"group_by": ["source", "properties.model"]})["items"]
    assert {(one["source"], one["properties"]["model"]) for one in both} >= {("gateway", "small")}


def test_analytics_of_one_source_leave_out_the_others_and_have_no_cost(api, acme):
    (item,) = api.post("events/analytics", {"external_customer_id": "acme", "sources": ["gateway"]})["items"]
    assert (item["total_usage"], item["event_count"], item["total_cost"]) == ("7", 2, None)


def test_a_customers_usage_is_returned_with_its_limits(api, acme):
    found = api.get("customers/usage", customer_lookup_key="acme")
    (feature,) = found["features"]
    assert (feature["current_usage"], feature["total_limit"], feature["usage_percent"]) == ("15", 10, "150")
    assert feature["next_usage_reset_at"] == found["period"]["end_time"]
    assert api.get("customers/usage", customer_id=acme.customer.public_id) == found
    assert "customer_id" in api.get("customers/usage", status=400)["details"]
    key, subscription = feature["feature"]["lookup_key"], acme.public_id
    limited = {"feature_lookup_keys": "other", "subscription_ids": subscription}
    assert api.get("customers/usage", customer_lookup_key="acme", **limited)["features"] == []
    assert len(api.get("customers/usage", customer_lookup_key="acme", subscription_ids=subscription)["features"]) == 1
    assert key is None or api.get("customers/usage", customer_lookup_key="acme", feature_lookup_keys=key) == found


def test_a_plan_change_is_previewed_then_executed(api, acme):
    feature = make_feature(name="Other", event_name="other")
    tokens = acme.phases.get().plan_version.prices.get().feature
    dearer = make_version(
        {"feature": tokens, "unit_amount": Decimal("1.50")}, {"feature": feature}, free_units={tokens: 10}, name="Next"
    )
    asked = {"target_plan_id": dearer.plan.public_id, "billing_period": "MONTHLY", "billing_cadence": "RECURRING"}
    path = f"subscriptions/{acme.public_id}/change"
    shown = api.post(f"{path}/preview", asked | {"change_at": "end_of_period"})
    assert shown["current_plan"]["name"] == "Now"
    assert shown["upcoming_invoice"] == {"total": "2.50", "difference": "0.00", "currency": "USD"}
    assert acme.phases.count() == 1
    done = api.post(f"{path}/execute", asked)
    assert (done["is_scheduled"], done["subscription"]["plan"]["name"]) == (False, "Next")
    assert upcoming(acme.pk, now=timezone.now()).problem == ""
    assert "billing_period" in api.post(f"{path}/preview", asked | {"billing_period": "ANNUAL"}, 400)["details"]
    refused = api.post(f"{path}/preview", asked | {"proration_behavior": "none"}, 400)
    assert "proration_behavior" in refused["details"]
    api.post(f"{path}/preview", asked | {"target_plan_id": "plan_none"}, status=404)


def test_the_number_of_features_does_not_change_query_count(api, acme):
    def count(asked: Callable[[], object]) -> int:
        api.get("plans")  # the key is looked up every few seconds: not among what is counted
        with CaptureQueriesContext(connection) as queries:
            asked()
        return len(queries)

    def summary() -> Sized:
        found: Sized = api.get("customers/usage", customer_lookup_key="acme")["features"]
        return found

    def analytics() -> Sized:
        found: Sized = api.post("events/analytics", {"external_customer_id": "acme"})["items"]
        return found

    before = [count(summary), count(analytics)]
    twice = [make_feature(name=f"Twin {number}", event_name="tokens.used", field="tokens") for number in range(3)]
    tokens = acme.phases.get().plan_version.prices.get().feature
    prices = [{"feature": feature, "unit_amount": Decimal("0.01")} for feature in [tokens, *twice]]
    wide = make_version(*prices, free_units=dict.fromkeys([tokens, *twice], 10), name="Wide")
    change_plan(acme, wide, at=acme.started_at, now=timezone.now(), by=None, reason="More features")
    replay_fixed_causes(now=timezone.now())
    assert (len(summary()), len(analytics())) == (4, 4)
    assert [count(summary), count(analytics)] == before


def test_each_price_has_the_quantity_that_it_charges_after_a_plan_change(api):
    now = timezone.now()
    feature = make_feature(name="Calls", event_name="calls")
    customer = make_customer(external_id="acme")
    start, change = now - timedelta(days=4), now - timedelta(days=2)
    first = make_version({"feature": feature, "unit_amount": Decimal(1)}, name="First")
    second = make_version({"feature": feature, "unit_amount": Decimal(2)}, name="Second")
    subscription = make_subscription(customer=customer, plan=first, starts_at=start, now=start)
    change_plan(subscription, second, at=change, now=change, by=None)
    for days in (3, 3, 3, 1, 1):
        event = {"event_name": "calls", "external_customer_id": "acme", "timestamp": now - timedelta(days=days)}
        api.post("events", event, status=202)
    process_batch()

    def charges(**window):
        answer = api.post("subscriptions/usage", {"subscription_id": subscription.public_id} | window)
        return [(charge["quantity"], charge["amount"]) for charge in answer["charges"]]

    assert charges() == [(3, Decimal("3.00")), (2, Decimal("4.00"))]
    assert charges(start_time=change) == [(2, Decimal("4.00"))]
    assert charges(end_time=change) == [(3, Decimal("3.00"))]


def test_grouped_usage_is_limited(api, acme, monkeypatch):
    asked = {"external_customer_id": "acme", "group_by": ["properties.model"], "window_size": "DAY"}
    api.post("events/analytics", asked)
    with monkeypatch.context() as patch:
        patch.setattr(search, "MOST_GROUPS", 1)
        error = api.post("events/analytics", asked, status=400)
        reason = "There are more than 1 groups. Filter by property, or group by another one."
        assert error["details"] == {"group_by": [reason]}
        api.post("events/analytics", asked | {"property_filters": {"model": ["small"]}})
    for limit in ("MOST_POINTS", "MOST_WINDOWS_OF_GROUPS"):
        with monkeypatch.context() as patch:
            patch.setattr(spending, limit, 3)
            assert "group_by" in api.post("events/analytics", asked, status=400)["details"]
