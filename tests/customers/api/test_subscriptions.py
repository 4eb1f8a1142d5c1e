"""Subscriptions through the API."""

from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import Plan
from customers.models import Subscription
from tests.api import Api
from tests.factories import make_customer, make_draft, make_fee, make_plan, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan(db: None) -> Plan:
    """Make a plan whose only version is a draft with a fee of $10."""
    draft = make_draft()
    make_fee(version=draft)
    return draft.plan


def body(plan: Plan, **values: Any) -> dict[str, Any]:
    return {
        "external_customer_id": "acme", "plan_id": plan.public_id, "currency": "usd", "billing_period": "MONTHLY",
        "billing_cycle": "anniversary", "start_date": "2026-01-31T00:00:00Z",
    } | values  # fmt: skip


@pytest.fixture
def acme(api: Api, plan: Plan):
    make_customer(external_id="acme")
    return api.post("subscriptions", body(plan), status=201)


def test_a_subscription_publishes_the_plans_draft(api, acme, plan):
    assert plan.versions.get().is_published
    assert (acme["subscription_status"], acme["billing_cadence"], acme["currency"]) == ("active", "RECURRING", "USD")
    assert (acme["start_date"], acme["end_date"], acme["plan_id"]) == ("2026-01-31T00:00:00Z", None, plan.public_id)
    (item,) = acme["line_items"]
    assert (item["price"]["amount"], item["invoice_cadence"], item["quantity"]) == ("10", "ADVANCE", "1")
    assert api.get(f"subscriptions/{acme['id']}") == acme


def test_calendar_billing_trial_end_and_payment_terms_are_applied(api, plan):
    make_customer(external_id="acme")
    values = {
        "billing_cycle": "calendar", "end_date": "2030-01-01T00:00:00Z", "trial_period_days": 10,
        "payment_terms": "30 NET", "proration_behavior": "none", "metadata": {"deal": "7"}, "lookup_key": "main",
    }  # fmt: skip
    made = api.post("subscriptions", body(plan, **values), status=201)
    assert made["billing_anchor"] == "2026-02-01T00:00:00Z"  # the month in which the trial ends
    assert (made["trial_end"], made["end_date"]) == ("2026-02-10T00:00:00Z", "2030-01-01T00:00:00Z")
    stored = Subscription.objects.get()
    assert (stored.net_days, stored.prorate, stored.metadata, stored.key) == (30, False, {"deal": "7"}, "main")


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"subscription_status": "draft"}, 400, "subscription_status"),
        ({"external_customer_id": None}, 400, "customer_id"),
        ({"external_customer_id": "nobody"}, 404, None),
        ({"plan_id": "plan_none"}, 404, None),
        ({"currency": "EUR"}, 400, None),
        ({"billing_period": "ANNUAL"}, 400, None),
        ({"billing_cycle": "lunar"}, 400, "billing_cycle"),
        ({"end_date": "2026-01-01T00:00:00Z"}, 400, None),
        ({"payment_terms": "soon"}, 400, "payment_terms"),
        ({"coupons": ["c"]}, 400, "coupons"),
        ({"start_date": ""}, 400, "start_date"),
    ],
)
def test_an_invalid_subscription_is_refused(api, plan, change, status, field):
    make_customer(external_id="acme")
    refused = api.post("subscriptions", body(plan, **change), status=status)
    assert field is None or field in refused["details"]
    assert not Subscription.objects.exists()
    assert not plan.versions.get().is_published


def test_a_subscription_is_cancelled_immediately(api, acme):
    done = api.post(f"subscriptions/{acme['id']}/cancel", {"cancellation_type": "immediate", "reason": "Moved"})
    assert (done["status"], done["reason"]) == ("cancelled", "Moved")
    assert done["effective_date"] == done["processed_at"]
    again = api.post(f"subscriptions/{acme['id']}/cancel", {"cancellation_type": "immediate"}, status=400)
    assert again["code"] == "invalid_operation"


def test_a_subscription_is_cancelled_at_period_end_or_on_a_date(api, acme):
    path = f"subscriptions/{acme['id']}"
    done = api.post(f"{path}/cancel", {"cancellation_type": "end_of_period"})
    assert (done["status"], done["effective_date"]) == ("active", acme["current_period_end"])
    assert api.get(path)["cancel_at_period_end"] is True
    dated = {"cancellation_type": "scheduled_date", "cancel_at": "2031-05-01T00:00:00Z"}
    assert api.post(f"{path}/cancel", dated)["effective_date"] == "2031-05-01T00:00:00Z"
    assert api.get(path)["cancel_at"] == "2031-05-01T00:00:00Z"
    assert "cancel_at" in api.post(f"{path}/cancel", dated | {"cancel_at": None}, status=400)["details"]


def test_only_a_cancellation_still_ahead_at_the_periods_end_is_reported_as_one(api, acme):
    path, now = f"subscriptions/{acme['id']}", timezone.now()
    within = now + (datetime.fromisoformat(acme["current_period_end"]) - now) / 2
    api.post(f"{path}/cancel", {"cancellation_type": "scheduled_date", "cancel_at": within.isoformat()})
    cut = api.get(path)
    assert (cut["current_period_end"], cut["cancel_at_period_end"]) == (cut["cancel_at"], False)
    api.post(f"{path}/cancel", {"cancellation_type": "end_of_period"})
    assert api.get(path)["cancel_at_period_end"] is True
    api.post(f"{path}/cancel", {"cancellation_type": "immediate"})
    ended = api.get(path)
    assert (ended["subscription_status"], ended["cancel_at_period_end"]) == ("cancelled", False)


def test_cancelling_in_the_past_requires_a_reason(api, acme):
    path, past = f"subscriptions/{acme['id']}", {"cancellation_type": "scheduled_date", "cancel_at": acme["start_date"]}
    assert "reason" in api.post(f"{path}/cancel", past, status=400)["details"]
    assert api.get(path)["subscription_status"] == "active"
    assert api.post(f"{path}/cancel", past | {"reason": "Never used"})["status"] == "cancelled"


def test_a_scheduled_subscription_has_no_period_to_end_with(api, acme, plan):
    path, never = f"subscriptions/{acme['id']}", {"cancellation_type": "scheduled_date", "reason": "Never used"}
    api.post(f"{path}/cancel", never | {"cancel_at": acme["start_date"]})
    asks = {
        "cancel": {"cancellation_type": "end_of_period"},
        "change/preview": {"target_plan_id": plan.public_id, "change_at": "end_of_period"},
    }
    for ask, given in asks.items():
        refused = api.post(f"{path}/{ask}", given, status=400)
        assert "canceled before it started" in refused["message"]


def test_a_subscription_is_paused_and_resumed(api, acme):
    path = f"subscriptions/{acme['id']}"
    paused = api.post(f"{path}/pause", {"reason": "Holiday"})["subscription"]
    assert (paused["subscription_status"], paused["pause_status"]) == ("paused", "active")
    assert api.post(f"{path}/pause", status=400)["message"] == "The subscription is already paused at that time."
    assert api.post(f"{path}/resume")["subscription"]["subscription_status"] == "active"
    api.post(f"{path}/resume", status=400)


def test_subscriptions_are_listed_and_searched(api, acme, plan):
    other = make_subscription()
    assert {item["id"] for item in api.get("subscriptions")["items"]} == {acme["id"], other.public_id}
    for asked in (
        {"external_customer_id": "acme"}, {"plan_id": plan.public_id}, {"customer_id": acme["customer_id"]},
        {"subscription_ids": [acme["id"]]}, {"customer_ids": [acme["customer_id"]], "subscription_status": ["active"]},
    ):  # fmt: skip
        assert [item["id"] for item in api.post("subscriptions/search", asked)["items"]] == [acme["id"]], asked
    assert api.post("subscriptions/search", {"subscription_status": ["cancelled"]})["items"] == []
    assert api.post("subscriptions/search", {"active_at": "2025-01-01T00:00:00Z"})["items"] == []


def test_the_number_of_subscriptions_does_not_change_query_count(api, django_assert_num_queries):
    for _ in range(3):
        make_subscription(plan=make_plan())
    api.get("plans")
    for limit in (1, 3):
        # the count, the subscriptions, their phases, the versions' prices, the prices' tiers, the commitments
        with django_assert_num_queries(6):
            api.get("subscriptions", limit=limit)


def test_a_subscriptions_entitlements_are_returned(api, acme):
    assert api.get(f"subscriptions/{acme['id']}/entitlements") == {
        "subscription_id": acme["id"],
        "plan_id": acme["plan_id"],
        "features": [],
    }
    api.get("subscriptions/subs_none/entitlements", status=404)


def test_dates_outside_the_supported_years_are_refused_or_limited(api, acme, plan):
    for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        assert "start_date" in api.post("subscriptions", body(plan, start_date=moment), status=400)["details"]
        assert api.post("events/query", {"start_time": moment})["events"] == []
    usage = {"subscription_id": acme["id"], "start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T00:00:00Z"}
    assert api.post("subscriptions/usage", usage, status=400)["code"] == "invalid_operation"
    assert api.get("subscriptions", start_time="1477-12-24T10:36:25+20:26")["pagination"]["total"] == 1
    assert "end_time" in api.get("subscriptions", end_time="0001-01-01T00:00:00+20:26", status=400)["details"]


def test_a_lookup_key_is_free_again_when_its_subscription_has_ended(api, plan):
    make_customer(external_id="acme")
    first = api.post("subscriptions", body(plan, lookup_key="main"), status=201)
    refused = api.post("subscriptions", body(plan, lookup_key="main"), status=409)
    assert "hasn't ended" in refused["message"]
    api.post(f"subscriptions/{first['id']}/cancel", {"cancellation_type": "end_of_period"})
    api.post("subscriptions", body(plan, lookup_key="main"), status=409)  # it ends later
    api.post(f"subscriptions/{first['id']}/cancel", {"cancellation_type": "immediate"})
    second = api.post("subscriptions", body(plan, lookup_key="main"), status=201)
    assert second["id"] != first["id"]
    api.post("subscriptions", body(plan, lookup_key="main"), status=409)
    assert {item["id"] for item in api.get("subscriptions", lookup_key="main")["items"]} == {first["id"], second["id"]}


def test_the_database_allows_one_running_subscription_per_lookup_key():
    first = make_subscription(key="main")
    second = make_subscription()
    with pytest.raises(IntegrityError, match="subscription_key_until_end"), transaction.atomic():
        Subscription.objects.filter(pk=second.pk).update(key="main")
    Subscription.objects.filter(pk=first.pk).update(ended_at=first.started_at)
    Subscription.objects.filter(pk=second.pk).update(key="main")
