"""Sections 3 and 5 of the guide: the event counts but isn't charged, or the usage was reset."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.invoicing.upcoming import upcoming
from billing.models import Invoice
from billing.runs.billing_run import run_to_end
from catalog.models import Feature
from catalog.publishing import get_or_create_draft, publish
from customers.models import Subscription
from customers.subscriptions import cancel, change_plan, get_billing_period
from events import tasks
from tests.admin_pages import submit, url
from tests.factories import make_draft, make_fee, make_subscription
from tests.scenarios.guide import Guide, begin, make_guide

pytestmark = pytest.mark.django_db


def without_the_feature(staff_client) -> Guide:
    """Put Acme on a plan with only a fee of zero."""
    guide = make_guide(staff_client, is_subscribed=False)
    draft = make_draft()
    make_fee(version=draft, unit_amount=Decimal(0))
    start = begin()
    guide.subscription = make_subscription(customer=guide.customer, plan=draft.plan, starts_at=start, now=start)
    return guide


def test_3a_a_missing_feature_is_added_in_a_new_plan_version(staff_client):
    guide = without_the_feature(staff_client)
    event_id = guide.accepted()
    page = guide.page(event_id)
    assert "Feature not in plan" in page
    assert "<h2>Counted, but not billed</h2>" in page
    assert "has no price for Credits: usage is counted, but not billed." in page
    assert guide.due() == 0
    plan = guide.subscription.phases.get().plan_version.plan
    proof = guide.fix(event_id, f"Add Credits to {plan}", unit_amount="0.25", since="period")
    # 2 credits × $0.25
    assert "<strong>nothing</strong> to <strong>$0.50</strong>" in proof
    assert guide.due() == Decimal("0.50")
    assert f"{plan} v2 prices Credits." in guide.page(event_id)


def test_3b_a_subscription_is_created_for_the_customer(staff_client):
    guide = make_guide(staff_client, is_subscribed=False)
    event_id = guide.accepted()
    assert "Acme has never had a subscription, so nothing is billed." in guide.page(event_id)
    plan = guide.credits.prices.get().version.plan
    start = f"{begin():%Y-%m-%dT%H:%M}"
    proof = guide.fix(event_id, "Create a subscription", plan=f"{plan.pk}|USD|month|1", starts_at=start)
    assert "$1.00 more" in proof
    guide.subscription = Subscription.objects.get(customer=guide.customer)
    assert guide.due() == Decimal("1.00")
    assert "On Growth v1 when the event occurred" in guide.page(event_id)


def test_3b_an_event_after_the_end_of_the_subscription_is_reported(staff_client):
    guide = make_guide(staff_client)
    now = timezone.now()
    cancel(guide.subscription, at=now - timedelta(days=1), now=now - timedelta(days=1), by=None)
    event_id = guide.accepted()
    page = guide.page(event_id)
    assert "Subscription had ended" in page
    assert "Open the subscription's history" in page
    plan = guide.credits.prices.get().version.plan
    start = f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    guide.fix(event_id, "Create a subscription", plan=f"{plan.pk}|USD|month|1", starts_at=start)
    guide.subscription = Subscription.objects.filter(customer=guide.customer).latest("pk")
    # 2 credits × $0.50
    assert guide.due() == Decimal("1.00")


def test_3c_usage_within_the_free_tier_says_how_much_is_left(staff_client):
    guide = make_guide(staff_client, free_units=10)
    event_id = guide.accepted()
    assert "Within the free tier: 2 of 10 units used, 8 left." in guide.page(event_id)
    assert guide.due() == 0
    guide.accepted(properties={"credits": 9})
    # 11 - 10 free = 1 × $0.50
    assert guide.due() == Decimal("0.50")
    assert "The free tier of 10 units is used up; 1 unit is charged." in guide.page(event_id)


def test_3d_an_event_of_an_invoiced_period_names_the_invoice(staff_client):
    guide = make_guide(staff_client, is_subscribed=False)
    now = timezone.now()
    start = now - timedelta(days=40)
    plan = guide.credits.prices.get().version
    make_subscription(customer=guide.customer, plan=plan, starts_at=start, now=start)
    in_time = guide.accepted(timestamp=(start + timedelta(days=1)).isoformat())
    run_to_end(as_of=timezone.now())
    invoice = Invoice.objects.get(kind="cycle")
    assert (invoice.total, invoice.period_start) == (Decimal("1.00"), start)
    page = guide.page(in_time)
    assert "In another billing period" in page
    assert "amounts to $1.00" in page
    late = guide.accepted(timestamp=(start + timedelta(days=2)).isoformat())
    assert "Period already invoiced" in guide.page(late)


def test_3d_an_event_of_an_uninvoiced_past_period_is_reported(staff_client):
    guide = make_guide(staff_client, is_subscribed=False)
    start = timezone.now() - timedelta(days=40)
    plan = guide.credits.prices.get().version
    guide.subscription = make_subscription(customer=guide.customer, plan=plan, starts_at=start, now=start)
    event_id = guide.accepted(timestamp=(start + timedelta(days=1)).isoformat())
    assert "In an earlier billing period" in guide.page(event_id)
    run_to_end(as_of=timezone.now())
    # 2 credits × $0.50 are on the period's own invoice, and not on the coming one.
    assert Invoice.objects.get(kind="cycle").total == Decimal("1.00")
    assert guide.due() == 0


def test_5a_the_usage_reset_is_shown_with_the_period(staff_client):
    guide = make_guide(staff_client, reset="cumulative")
    event_id = guide.accepted()
    assert "Cumulative: the running total of every later period includes it too" in guide.page(event_id)


def test_5a_a_wrong_reset_is_fixed_with_a_new_feature(staff_client):
    guide = make_guide(staff_client, reset="cumulative", is_subscribed=False)
    start = timezone.now() - timedelta(days=40)
    version = guide.credits.prices.get().version
    guide.subscription = make_subscription(customer=guide.customer, plan=version, starts_at=start, now=start)
    guide.accepted(timestamp=(start + timedelta(days=1)).isoformat())
    run_to_end(as_of=timezone.now())
    # The running total of the period before: 2 credits × $0.50 once more.
    assert guide.due() == Decimal("1.00")
    answers = {"name": "Credits each month", "event_name": "model.usage", "aggregation": "sum", "field": "credits"}
    submit(staff_client, url("catalog_feature_duplicate", guide.credits.pk), **answers, reset="periodic")
    draft = get_or_create_draft(version.plan, by=None, held=True)
    draft.prices.update(feature=Feature.objects.get(name="Credits each month"))
    newer = publish(draft, now=timezone.now(), by=None)
    now = timezone.now()
    at = get_billing_period(guide.subscription, now).start
    change_plan(guide.subscription, newer, at=at, now=now, by=None, reason="Credits begin anew each month")
    tasks.replay_mended()
    assert guide.due() == 0
    guide.accepted(properties={"credits": 3})
    # 3 credits of this period × $0.50
    assert guide.due() == Decimal("1.50")


def test_5b_a_recreated_subscription_keeps_the_running_total(staff_client):
    guide = make_guide(staff_client, reset="cumulative")
    first = guide.accepted(timestamp=(begin() + timedelta(hours=1)).isoformat())
    ended = timezone.now() - timedelta(days=1)
    cancel(guide.subscription, at=ended, now=ended, by=None)
    plan = guide.credits.prices.get().version
    again = make_subscription(customer=guide.customer, plan=plan, starts_at=ended, now=ended)
    guide.accepted(properties={"credits": 3})
    # 2 + 3 = 5 credits stand, × $0.50
    assert upcoming(again.pk, now=timezone.now()).total == Decimal("2.50")
    assert "On Growth v1 when the event occurred" in guide.page(first)
