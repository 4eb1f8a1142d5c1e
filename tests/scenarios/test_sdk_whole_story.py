"""The official Flexprice client, unmodified, from a new customer to a credit note, with every way to send events."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexprice.models.errors import ErrorResponse, FlexpriceDefaultError, FlexpriceError

from billing.runs.billing_run import run_to_end
from events.ledger.processing import process_batch
from tests.scenarios.test_sdk_story import Shop, fee, meter, shop, usage_price

__all__ = ["shop"]
pytestmark = pytest.mark.django_db(transaction=True)


def sell(shop: Shop) -> dict[str, Any]:
    """Sell calls ($0.50, 10 free), tokens by tiers, images in packs of 100 at $5, and $49 per month, with 10 % tax."""
    sdk = shop.sdk
    objects: dict[str, Any] = {"customer": sdk.customers.create_customer(external_id="acme", name="Acme Ltd")}
    sdk.tax_rates.create_tax_rate(code="VAT", name="VAT", percentage_value="10")
    taxed = sdk.tax_associations.create_tax_association(
        tax_rate_code="VAT", entity_type="customer", entity_id=objects["customer"].id
    )
    assert taxed.tax_rate_id
    plan = objects["plan"] = sdk.plans.create_plan(name="Growth", lookup_key="growth")
    sdk.prices.create_price(**fee(plan))
    for name, aggregation in (
        ("calls", {"type": "COUNT"}),
        ("tokens", {"type": "SUM", "field": "n"}),
        ("images", {"type": "SUM", "field": "n"}),
    ):
        objects[name] = sdk.features.create_feature(
            name=name.title(), type_="metered", lookup_key=name, meter=meter(name, **aggregation)
        )
        shop.put(
            f"features/{objects[name].id}", {"accept_numeric_strings": True}
        )  # this client sends all values as text
    sdk.prices.create_price(**usage_price(plan, objects["calls"], amount="0.50"))
    tiers = [{"up_to": 1000, "unit_amount": "0.01"}, {"unit_amount": "0.005"}]
    tiered = usage_price(plan, objects["tokens"], billing_model="TIERED", tier_mode="SLAB", tiers=tiers)
    sdk.prices.create_price(**tiered | {"amount": None})
    packs = {"billing_model": "PACKAGE", "amount": "5", "transform_quantity": {"divide_by": 100, "round": "up"}}
    sdk.prices.create_price(**usage_price(plan, objects["images"]) | packs)
    sdk.entitlements.create_entitlement(
        plan_id=plan.id, feature_id=objects["calls"].id, feature_type="metered", usage_limit=10
    )
    objects["subscription"] = sdk.subscriptions.create_subscription(
        external_customer_id="acme", plan_id=plan.id, currency="usd", billing_period="MONTHLY",
        billing_cycle="anniversary", start_date=shop.begins,
    )  # fmt: skip
    return objects


def send(shop: Shop) -> None:
    """Send 12 calls, 1,500 tokens and 250 images: one by one, asynchronously, and in bulk, with repeats."""
    events = shop.sdk.events
    at = {"external_customer_id": "acme", "timestamp": (shop.begins + timedelta(days=1)).isoformat()}
    accepted = events.ingest_event(event_name="calls", event_id="call-0", **at)
    assert accepted["event_id"] == "call-0"

    async def at_once() -> None:
        tokens = [events.ingest_event_async(event_name="tokens", properties={"n": "500"}, **at) for _ in range(3)]
        repeated = [events.ingest_event_async(event_name="calls", event_id="call-1", **at) for _ in range(3)]
        await asyncio.gather(*tokens, *repeated)

    with ThreadPoolExecutor(1) as aside:  # this thread may have a loop already: a browser's
        aside.submit(asyncio.run, at_once()).result()
    images = {"event_name": "images", "properties": {"n": "250"}, "event_id": "images", **at}
    calls = [{"event_name": "calls", "event_id": f"call-{number}", **at} for number in range(12)]
    events.ingest_events_bulk(events=[images, *calls])
    events.ingest_events_bulk(events=[images, *calls])
    events.ingest_event(event_name="call", event_id="misspelt", **at)
    process_batch()


def test_a_customer_is_billed_from_creation_to_cancellation(shop):
    sdk, sold = shop.sdk, sell(shop)
    send(shop)
    window = {"start_time": shop.begins, "end_time": shop.begins + timedelta(days=2)}
    for name, quantity in (("calls", 12), ("tokens", 1500), ("images", 250)):
        usage = sdk.events.get_usage_by_meter(meter_id=sold[name].meter_id, external_customer_id="acme", **window)
        assert usage.value == quantity, name
    analytics = sdk.events.get_usage_analytics(external_customer_id="acme", **window)
    # 2 calls × $0.50; 1,000 × $0.01 + 500 × $0.005; 3 packs × $5
    costs = {item.feature_id: item.total_cost for item in analytics.items}
    assert [costs[sold[name].id] for name in ("calls", "tokens", "images")] == ["1.00", "12.50", "15.00"]
    failed = sdk.events.get_event(id="misspelt", external_customer_id="acme")
    assert (failed.status, failed.debug_tracker.failure_point.error.code) == ("failed", "unknown_event_name")

    preview = sdk.invoices.get_invoice_preview(subscription_id=sold["subscription"].id)
    assert (preview.subtotal, preview.total_tax, preview.total) == ("49.00", "4.90", "53.90")  # the next month's fee
    run_to_end(as_of=datetime.now(UTC))
    cycle, opening = sdk.invoices.query_invoice(external_customer_id="acme", invoice_status=["DRAFT"]).items
    assert (opening.total, cycle.subtotal, cycle.total) == ("53.90", "77.50", "85.25")

    sdk.invoices.finalize_invoice(id=opening.id)
    paying = {
        "destination_type": "INVOICE", "destination_id": opening.id, "payment_method_type": "CARD", "currency": "usd",
    }  # fmt: skip
    headers = {"Idempotency-Key": "card-1"}
    first = sdk.payments.create_payment(amount="50.00", **paying, http_headers=headers)
    assert sdk.payments.create_payment(amount="50.00", **paying, http_headers=headers).id == first.id
    assert sdk.invoices.get_invoice(id=opening.id).amount_remaining == "3.90"
    sdk.payments.create_payment(amount="3.90", **paying)
    paid = sdk.invoices.get_invoice(id=opening.id)
    assert (paid.payment_status, paid.amount_paid, paid.invoice_number) == ("SUCCEEDED", "53.90", "INV-000001")
    assert len(sdk.payments.list_payments(destination_id=opening.id).items) == 2
    with pytest.raises(ErrorResponse) as attached:
        sdk.invoices.void_invoice(id=opening.id)
    assert attached.value.data.code == "invalid_operation"
    assert sdk.invoices.get_invoice_pdf(id=opening.id).read().startswith(b"%PDF-")

    note = sdk.credit_notes.create_credit_note(
        invoice_id=opening.id, reason="SERVICE_ISSUE", process_credit_note=False,
        line_items=[{"invoice_line_item_id": opening.line_items[0].id, "amount": "10.00"}],
    )  # fmt: skip
    sdk.credit_notes.process_credit_note(id=note.id)
    done = sdk.credit_notes.get_credit_note(id=note.id)
    assert (done.credit_note_status, done.total_amount) == ("FINALIZED", "11.00")  # with its tax

    wallet = sdk.wallets.create_wallet(customer_id=sold["customer"].id, currency="usd")
    sdk.wallets.top_up_wallet(id=wallet.id, transaction_reason="PURCHASED_CREDIT_DIRECT", amount="30.00")
    assert sdk.wallets.get_wallet_balance(id=wallet.id).balance == "30.00"

    sdk.invoices.finalize_invoice(id=cycle.id)
    settled = sdk.invoices.get_invoice(id=cycle.id)
    # the top-up of $30, and the credit note's $11
    assert (settled.total, settled.total_prepaid_credits_applied) == ("85.25", "41.00")
    assert sdk.invoices.void_invoice(id=cycle.id).message == "Invoice voided"
    assert sdk.invoices.get_invoice(id=cycle.id).invoice_status == "VOIDED"
    assert sdk.wallets.get_wallet_balance(id=wallet.id).balance == "30.00"  # returned

    ended = sdk.subscriptions.cancel_subscription(id=sold["subscription"].id, cancellation_type="immediate")
    assert ended.status == "cancelled"


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, lambda sdk: sdk.customers.create_customer(external_id="a", name="A", email="nowhere")),
        (400, lambda sdk: sdk.events.ingest_event(event_name="calls", external_customer_id="acme", timestamp="soon")),
        (404, lambda sdk: sdk.invoices.get_invoice(id="inv_none")),
        (404, lambda sdk: sdk.invoices.finalize_invoice(id="inv_none")),
        (404, lambda sdk: sdk.wallets.get_wallet(id="wallet_none")),
        (404, lambda sdk: sdk.credit_notes.get_credit_note(id="cn_none")),
        (404, lambda sdk: sdk.payments.get_payment(id="pay_none")),
        (404, lambda sdk: sdk.coupons.get_coupon_by_code(code="NONE")),
        (404, lambda sdk: sdk.subscriptions.get_subscription(id="subs_none")),
        (404, lambda sdk: sdk.events.get_event(id="never", external_customer_id="acme")),
    ],
)
def test_every_refused_request_raises_an_exception_of_the_client(shop, status, request_):
    with pytest.raises(FlexpriceError) as refused:
        request_(shop.sdk)
    assert isinstance(refused.value, (ErrorResponse, FlexpriceDefaultError))
    assert refused.value.status_code == status
    if isinstance(refused.value, ErrorResponse):
        assert refused.value.data.http_status_code == status
        assert str(refused.value) == refused.value.data.message
