"""No field that would change a charge is ignored: it is carried out, or refused with what to do instead."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.models import TaxAssignment
from customers.models import Subscription
from tests.factories import make_customer, make_feature, make_plan

pytestmark = pytest.mark.django_db
START = datetime(2026, 9, 10, tzinfo=UTC)


@pytest.fixture
def terms(api):
    """Return the body of a subscription from 10 September to a plan of $30 per month."""
    make_customer(external_id="acme", timezone="UTC")
    plan = api.post("plans", {"name": "Growth"}, status=201)
    api.post("prices", price(plan["id"]), status=201)
    return {
        "external_customer_id": "acme", "plan_id": plan["id"], "currency": "USD", "billing_period": "MONTHLY",
        "start_date": START.isoformat(),
    }  # fmt: skip


def price(plan_id, **changes):
    return {
        "entity_id": plan_id, "type": "FIXED", "billing_model": "FLAT_FEE", "billing_period": "MONTHLY",
        "invoice_cadence": "ADVANCE", "currency": "USD", "amount": "30",
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 5), ("proration_mode", "none"), ("commitment_amount", "100"), ("enable_true_up", True),
        ("subscription_status", "draft"), ("payment_behavior", "default_incomplete"),
        ("trialDays", 14), ("line_item_coupons", {"p": ["c"]}), ("overage_factor", "1.5"),
    ],
)  # fmt: skip
def test_a_term_that_a_subscription_can_not_have_is_refused(api, terms, field, value):
    refused = api.post("subscriptions", terms | {field: value}, status=400)
    assert field in refused["details"]
    assert refused["message"].startswith(f"Request validation failed: {field}: ")
    assert not Subscription.objects.exists()


def test_values_that_official_clients_send_and_that_change_nothing_are_accepted(api, terms):
    sent = {
        "payment_behavior": "default_active", "collection_method": "charge_automatically", "enable_true_up": False,
        "subscription_status": "active", "addons": [], "commitment_amount": None,
    }  # fmt: skip
    api.post("subscriptions", terms | sent, status=201)


@pytest.mark.parametrize(
    "trial", [{"trial_days": 10}, {"trial_period_days": 10}, {"trial_end": "2026-09-20T00:00:00Z"}]
)
def test_a_trial_is_given_by_its_days_or_its_end(api, terms, trial):
    """The trial from 10 September ends on the 20th, from which periods are counted."""
    api.post("subscriptions", terms | trial, status=201)
    subscription = Subscription.objects.get()
    assert subscription.anchor == datetime(2026, 9, 20, tzinfo=UTC)
    assert [phase.kind for phase in subscription.phases.order_by("starts_at")] == ["trial", "active"]


def test_a_subscription_can_end_at_a_time_or_after_its_period(api, terms):
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    terms = terms | {"start_date": start.isoformat()}
    ends = (start + timedelta(days=3)).isoformat()
    at = api.post("subscriptions", terms | {"cancel_at": ends}, status=201)
    after = api.post("subscriptions", terms | {"cancel_at_period_end": True}, status=201)
    assert datetime.fromisoformat(at["end_date"]) == start + timedelta(days=3)
    assert after["end_date"] == after["current_period_end"]
    assert after["cancel_at_period_end"] is True


@pytest.mark.parametrize(
    "contradiction",
    [
        {"cancel_at": "2027-01-01T00:00:00Z", "end_date": "2027-02-01T00:00:00Z"},
        {"trial_days": 3, "trial_period_days": 4},
        {"trial_days": 3, "trial_end": "2026-09-20T00:00:00Z"},
        {"cancel_at_period_end": True, "end_date": "2027-02-01T00:00:00Z"},
    ],
)
def test_contradicting_terms_are_refused(api, terms, contradiction):
    assert api.post("subscriptions", terms | contradiction, status=400)["details"]


def test_a_subscriptions_time_zone_is_that_of_its_body(api, terms):
    created = api.post("subscriptions", terms | {"timezone": "Asia/Tokyo"}, status=201)
    assert (created["timezone"], created["customer_timezone"]) == ("Asia/Tokyo", "UTC")
    assert "timezone" in api.post("subscriptions", terms | {"timezone": "Mars"}, status=400)["details"]


def test_a_customers_taxes_are_assigned_with_the_customer(api):
    api.post("taxes/rates", {"code": "VAT", "name": "VAT", "percentage_value": "19"}, status=201)
    taxed = {"external_id": "acme", "name": "Acme", "tax_rate_overrides": [{"tax_rate_code": "VAT", "currency": "usd"}]}
    created = api.post("customers", taxed, status=201)
    assignment = TaxAssignment.objects.get()
    assert (assignment.customer.public_id, assignment.rate.code) == (created["id"], "VAT")
    api.post("customers", taxed | {"external_id": "other", "tax_rate_overrides": [{"tax_rate_code": "NO"}]}, status=404)
    assert api.get("customers", external_id="other")["items"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 3), ("start_date", "2026-01-01T00:00:00Z"), ("end_date", "2027-01-01T00:00:00Z"),
        ("filter_values", {"model": ["large"]}), ("group_id", "g"), ("parent_price_id", "p"),
        ("commitment_amount", "5"), ("bucket_size", "DAY"), ("tiers", [{"unit_amount": "1"}]),
        ("transform_quantity", {"divide_by": 10}), ("minimum_amount", "5"), ("meter_id", "feat_1"),
    ],
)  # fmt: skip
def test_a_term_that_a_fee_can_not_have_is_refused(api, field, value):
    plan = api.post("plans", {"name": "Growth"}, status=201)
    assert field in api.post("prices", price(plan["id"], **{field: value}), status=400)["details"]


def test_a_usage_price_has_a_minimum_a_maximum_and_a_description(api):
    plan = api.post("plans", {"name": "Growth"}, status=201)
    usage = {"type": "USAGE", "invoice_cadence": "ARREAR", "meter_id": make_feature().public_id}
    limits = {"minimum_amount": "5", "maximum_amount": "100.5", "description": "For the large model"}
    created = api.post("prices", price(plan["id"], **usage, **limits), status=201)
    assert {name: created[name] for name in limits} == limits
    changed = api.put(f"prices/{created['id']}", {"minimum_amount": None, "description": "All models"})
    assert (changed["minimum_amount"], changed["maximum_amount"], changed["description"]) == (
        None,
        "100.5",
        "All models",
    )
    assert "tiers" in api.put(f"prices/{created['id']}", {"tiers": [{"unit_amount": "1"}]}, status=400)["details"]
    assert "min_quantity" in api.post("prices", price(plan["id"], **usage, min_quantity=2), status=400)["details"]


def test_the_type_of_an_entitlement_must_be_its_features(api):
    feature, plan = make_feature(), make_plan()
    granted = {"plan_id": plan.public_id, "feature_id": feature.public_id, "feature_type": "boolean"}
    assert "feature_type" in api.post("entitlements", granted, status=400)["details"]
