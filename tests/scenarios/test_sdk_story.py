"""The official Flexprice client from its package covers a customer's whole lifecycle against the server."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from flexprice import Flexprice
from flexprice.models.errors import ErrorResponse, FlexpriceDefaultError

from billing.runs.billing_run import run_to_end
from events.access.keys import make_key
from events.ledger.processing import process_batch
from events.models import Scope

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Shop:
    """A company's backend: the client, plain HTTP for requests that the client lacks, and the time its story begins."""

    sdk: Flexprice
    url: str
    key: str
    begins: datetime

    def post(self, path: str, body: Any) -> Any:
        return self._read(httpx.post(f"{self.url}/{path}", json=body, headers={"x-api-key": self.key}))

    def put(self, path: str, body: Any) -> Any:
        return self._read(httpx.put(f"{self.url}/{path}", json=body, headers={"x-api-key": self.key}))

    def _read(self, response: httpx.Response) -> Any:
        response.raise_for_status()
        return response.json()

    def read_only(self) -> Flexprice:
        return Flexprice(server_url=self.url, api_key_auth=make_key("Reader", scopes=[Scope.READ])[1])


@pytest.fixture
def shop(live_server: Any) -> Iterator[Shop]:
    _, key = make_key("Shop")
    url = f"{live_server.url}/v1"
    begins = (datetime.now(UTC) - timedelta(days=40)).replace(microsecond=0)
    with Flexprice(server_url=url, api_key_auth=key) as sdk:
        yield Shop(sdk, url, key, begins)


@dataclass
class Sold:
    """The objects that the client created."""

    customer: Any
    calls: Any
    tokens: Any
    plan: Any
    subscription: Any


def meter(event_name: str, **aggregation: Any) -> dict[str, Any]:
    return {
        "name": event_name,
        "event_name": event_name,
        "aggregation": aggregation,
        "reset_usage": "BILLING_PERIOD",
    }


def usage_price(plan: Any, feature: Any, **options: Any) -> dict[str, Any]:
    return fee(plan) | {"type_": "USAGE", "invoice_cadence": "ARREAR", "meter_id": feature.meter_id} | options


def fee(plan: Any) -> dict[str, Any]:
    return {
        "billing_model": "FLAT_FEE", "billing_period": "MONTHLY", "billing_period_count": 1, "currency": "usd",
        "entity_id": plan.id, "entity_type": "PLAN", "invoice_cadence": "ADVANCE", "price_unit_type": "FIAT",
        "type_": "FIXED", "amount": "49.00", "display_name": "Platform",
    }  # fmt: skip


@pytest.fixture
def sold(shop: Shop) -> Sold:
    """Sell calls at $0.50 with 10 free, tokens by tiers, and $49 per month in advance to Acme, since 40 days ago."""
    sdk = shop.sdk
    customer = sdk.customers.create_customer(external_id="acme", name="Acme Ltd", metadata={"deal": "7"})
    calls = sdk.features.create_feature(
        name="Calls", type_="metered", lookup_key="calls", meter=meter("api.calls", type="COUNT")
    )
    tokens = sdk.features.create_feature(
        name="Tokens", type_="metered", meter=meter("tokens.used", type="SUM", field="tokens")
    )
    plan = sdk.plans.create_plan(name="Growth", lookup_key="growth")
    sdk.prices.create_price(**fee(plan))
    sdk.prices.create_price(**usage_price(plan, calls, amount="0.50", display_name="Calls"))
    tiers = [{"up_to": 1000, "unit_amount": "0.01"}, {"unit_amount": "0.005"}]
    tiered = usage_price(plan, tokens, billing_model="TIERED", tier_mode="SLAB", tiers=tiers, display_name="Tokens")
    sdk.prices.create_price(**tiered | {"amount": None})
    sdk.entitlements.create_entitlement(
        plan_id=plan.id, feature_id=calls.id, feature_type="metered", usage_limit=10, usage_reset_period="MONTHLY"
    )
    subscription = sdk.subscriptions.create_subscription(
        external_customer_id="acme", plan_id=plan.id, currency="usd", billing_period="MONTHLY",
        billing_cycle="anniversary", start_date=shop.begins,
    )  # fmt: skip
    return Sold(customer, calls, tokens, plan, subscription)


def send_calls(shop: Shop) -> None:
    """Send 12 calls of the first day, one separately and the rest in bulk, the first call twice."""
    at = (shop.begins + timedelta(days=1)).isoformat()
    call = {"event_name": "api.calls", "external_customer_id": "acme", "timestamp": at}
    shop.sdk.events.ingest_event(**call, event_id="call-0")
    shop.sdk.events.ingest_events_bulk(events=[call | {"event_id": f"call-{number}"} for number in range(12)])
    process_batch()


def send_tokens(shop: Shop) -> None:
    """Send 1,500 tokens today, as text: the client can't send numbers."""
    event = {"event_name": "tokens.used", "external_customer_id": "acme", "event_id": "tokens-1"}
    shop.sdk.events.ingest_event(**event, properties={"tokens": "1500", "model": "small"})
    process_batch()


def test_created_objects_can_be_retrieved(shop, sold):
    sdk = shop.sdk
    assert sdk.customers.get_customer_by_external_id(external_id="acme").id == sold.customer.id
    assert sdk.customers.query_customer(external_ids=["acme"], limit=5).items[0].metadata == {"deal": "7"}
    updated = sdk.customers.update_customer(external_customer_id="acme", email="billing@acme.test")
    assert (updated.name, updated.email) == ("Acme Ltd", "billing@acme.test")
    assert [feature.id for feature in sdk.features.query_feature(feature_ids=[sold.calls.id]).items] == [sold.calls.id]
    plan = sdk.plans.get_plan(id=sold.plan.id)
    assert [price.amount for price in plan.prices] == ["49", "0.5", None]
    assert plan.prices[2].tiers[0].up_to == 1000
    assert plan.prices[2].tiers[1].unit_amount == "0.005"
    assert plan.entitlements[0].usage_limit == 10
    assert len(sdk.prices.query_price(plan_ids=[sold.plan.id]).items) == 3
    assert sdk.plans.query_plan(lookup_key="growth").items[0].id == sold.plan.id
    assert sdk.entitlements.get_plan_entitlements(id=sold.plan.id).items[0].feature_id == sold.calls.id
    subscription = sdk.subscriptions.get_subscription(id=sold.subscription.id)
    assert (subscription.subscription_status, subscription.start_date) == ("active", shop.begins)
    assert len(subscription.line_items) == 3
    subscriptions = sdk.subscriptions.query_subscription(external_customer_id="acme", subscription_status=["active"])
    assert [item.id for item in subscriptions.items] == [sold.subscription.id]
    grants = sdk.customers.get_customer_entitlements(id=sold.customer.id)
    assert grants.features[0].entitlement.usage_limit == 10


def test_events_are_counted_once_and_a_failed_event_is_explained_and_fixed(shop, sold):
    sdk = shop.sdk
    send_calls(shop)
    send_tokens(shop)
    window = {"start_time": shop.begins, "end_time": shop.begins + timedelta(days=2)}
    used = sdk.events.get_usage_by_meter(meter_id=sold.calls.meter_id, external_customer_id="acme", **window)
    assert used.value == 12  # call-0 was sent twice
    statistics = sdk.events.get_usage_statistics(
        event_name="api.calls", aggregation_type="COUNT", external_customer_id="acme", **window
    )
    assert statistics.value == 12
    page = sdk.events.list_raw_events(external_customer_id="acme", event_name="api.calls", page_size=5)
    assert (len(page.events), page.has_more) == (5, True)
    after = sdk.events.list_raw_events(event_name="api.calls", page_size=50, iter_last_key=page.iter_last_key)
    assert (len(after.events), after.has_more) == (7, False)
    assert sdk.events.get_event(id="call-0", external_customer_id="acme").status == "processed"

    failed = sdk.events.get_event(id="tokens-1", external_customer_id="acme")
    assert failed.status == "failed"
    assert failed.debug_tracker.customer_lookup.status == "found"
    assert failed.debug_tracker.failure_point.error.code == "not_a_number"

    shop.put(f"features/{sold.tokens.id}", {"accept_numeric_strings": True})
    replayed = shop.post("problems/replay", {"cause": {"reason": "not_a_number"}})
    assert (replayed["closed"], replayed["still_open"]) == (1, 0)
    assert sdk.events.get_event(id="tokens-1", external_customer_id="acme").status == "processed"
    analytics = sdk.events.get_usage_analytics(external_customer_id="acme", feature_ids=[sold.tokens.id])
    # 1,000 × $0.01 + 500 × $0.005
    assert (analytics.items[0].total_usage, analytics.items[0].total_cost) == ("1500", "12.50")
    summary = sdk.customers.get_customer_usage_summary(customer_lookup_key="acme")
    assert summary.features[0].total_limit == 10


def test_usage_becomes_invoices_that_are_finalized_paid_and_voided(shop, sold):
    sdk = shop.sdk
    send_calls(shop)
    shop.put(f"features/{sold.tokens.id}", {"accept_numeric_strings": True})
    send_tokens(shop)

    preview = sdk.invoices.get_invoice_preview(subscription_id=sold.subscription.id)
    # the first period is due and not included: tokens $12.50, the next fee $49
    assert (preview.total, preview.invoice_status) == ("61.50", "DRAFT")
    spent = sdk.subscriptions.get_subscription_usage(subscription_id=sold.subscription.id)
    assert (spent.amount, spent.currency) == (12.5, "USD")

    run_to_end(as_of=datetime.now(UTC))
    cycle, opening = sdk.invoices.query_invoice(external_customer_id="acme", invoice_status=["DRAFT"]).items
    # 12 calls, 10 free: $1.00, and the second month's fee
    assert (opening.total, cycle.total) == ("49.00", "50.00")
    calls = next(line for line in cycle.line_items if line.meter_id == sold.calls.id)
    assert (calls.quantity, calls.adjusted_entitlement_quantity, calls.amount) == ("2", "10", "1.00")

    assert sdk.invoices.finalize_invoice(id=opening.id).message == "Invoice finalized: INV-000001"
    paid = sdk.invoices.update_invoice_payment_status(id=opening.id, payment_status="SUCCEEDED")
    assert (paid.payment_status, paid.amount_paid, paid.invoice_number) == ("SUCCEEDED", "49.00", "INV-000001")
    assert sdk.invoices.get_invoice_pdf(id=opening.id).read().startswith(b"%PDF-")
    link = json.loads(sdk.invoices.get_invoice_pdf(id=opening.id, url=True).read())["presigned_url"]
    assert httpx.get(link).content == sdk.invoices.get_invoice_pdf(id=opening.id, force_generate=True).read()
    sdk.invoices.finalize_invoice(id=cycle.id)
    assert sdk.invoices.void_invoice(id=cycle.id).message == "Invoice voided"
    voided = sdk.invoices.get_invoice(id=cycle.id)
    assert (voided.invoice_status, voided.invoice_number) == ("VOIDED", "INV-000002")
    with pytest.raises(ErrorResponse) as refused:
        sdk.invoices.void_invoice(id=opening.id)
    assert refused.value.data.code == "invalid_operation"


def test_a_subscription_is_paused_resumed_and_cancelled_and_its_customer_archived(shop, sold):
    sdk = shop.sdk
    with pytest.raises(ErrorResponse) as refused:
        sdk.customers.delete_customer(id=sold.customer.id)
    assert refused.value.data.code == "invalid_operation"
    paused = sdk.subscriptions.pause_subscription(id=sold.subscription.id, reason="Holiday")
    assert paused.subscription.subscription_status == "paused"
    resumed = sdk.subscriptions.resume_subscription(id=sold.subscription.id)
    assert resumed.subscription.subscription_status == "active"
    at_end = sdk.subscriptions.cancel_subscription(id=sold.subscription.id, cancellation_type="end_of_period")
    assert at_end.status == "active"
    now = sdk.subscriptions.cancel_subscription(id=sold.subscription.id, cancellation_type="immediate", reason="Moved")
    assert (now.status, now.reason) == ("cancelled", "Moved")
    sdk.customers.delete_customer(id=sold.customer.id)
    assert sdk.customers.get_customer(id=sold.customer.id).status == "archived"
    assert sdk.plans.delete_plan(id=sold.plan.id).message == "Plan archived"
    assert sdk.features.delete_feature(id=sold.calls.id).message == "Feature archived"


def test_a_subscription_changes_its_plan(shop, sold):
    sdk = shop.sdk
    other = sdk.plans.clone_plan(id=sold.plan.id, name="Growth Plus")
    (platform,) = [price for price in sdk.plans.get_plan(id=other.id).prices if price.type == "FIXED"]
    assert sdk.prices.update_price(id=platform.id, amount="99").amount == "99"
    change = {
        "id": sold.subscription.id, "target_plan_id": other.id, "billing_cadence": "RECURRING",
        "billing_cycle": "anniversary", "billing_period": "MONTHLY", "proration_behavior": "create_prorations",
    }  # fmt: skip
    preview = sdk.subscriptions.preview_subscription_change(**change, change_at="end_of_period")
    assert (preview.current_plan.name, preview.target_plan.name) == ("Growth", "Growth Plus")
    assert sdk.subscriptions.execute_subscription_change(**change).is_scheduled is False
    assert sdk.subscriptions.get_subscription(id=sold.subscription.id).plan_id == other.id


def test_refused_requests_raise_the_clients_typed_errors(shop, sold):
    sdk = shop.sdk
    with pytest.raises(ErrorResponse) as malformed:
        sdk.customers.create_customer(external_id="other", name="Other", email="no address")
    assert malformed.value.data.http_status_code == 400
    assert str(malformed.value) == "Request validation failed: email: Enter a valid email address."
    with pytest.raises(FlexpriceDefaultError) as taken:
        sdk.customers.create_customer(external_id="acme", name="Acme again")
    assert taken.value.status_code == 409
    for request in (
        lambda: sdk.customers.get_customer_by_external_id(external_id="nobody"),
        lambda: sdk.plans.get_plan(id="plan_none"),
        lambda: sdk.events.get_event(id="never sent", external_customer_id="acme"),
        lambda: sdk.invoices.get_invoice(id="inv_none"),
    ):
        with pytest.raises(ErrorResponse) as unknown:
            request()
        assert unknown.value.data.code == "not_found"
    with shop.read_only() as reader, pytest.raises(FlexpriceDefaultError) as forbidden:
        reader.plans.create_plan(name="No")
    assert forbidden.value.status_code == 403
    assert "catalog:write" in forbidden.value.body
    with (
        Flexprice(server_url=shop.url, api_key_auth="sk_wrong") as stranger,
        pytest.raises(FlexpriceDefaultError) as unknown_key,
    ):
        stranger.plans.query_plan()
    assert unknown_key.value.status_code == 401
