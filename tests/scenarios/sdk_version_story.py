"""A company's first month, told by one version of the official client in its own virtual environment.

`sdk_version_story.py URL KEY CUSTOMER` needs only the client. It prints `count` or `bill` when the server's worker
should run, and continues after a line on its standard input. Any difference ends it with an error.
"""

import inspect
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from flexprice import Flexprice
from flexprice.models import errors

BEGINS = (datetime.now(UTC) - timedelta(days=40)).replace(microsecond=0)
EVENTS_AT = (BEGINS + timedelta(days=1)).isoformat()
URL, KEY, CUSTOMER = sys.argv[1:]
# Required by some versions: the cadence before 2.0.21 and in 2.1.0 and 2.1.1, the contacts in 2.1.36 and 2.1.37.
REQUIRED_BY_SOME: dict[str, Any] = {"billing_cadence": "RECURRING", "contact_persons": []}


def main() -> None:
    with Flexprice(server_url=URL, api_key_auth=KEY) as sdk:
        sold = sell(sdk)
        send(sdk)
        wait_for("count")
        check_usage(sdk, sold)
        wait_for("bill")
        check_invoices(sdk)
        check_refusals(sdk)


def sell(sdk: Any) -> dict[str, Any]:
    """Sell calls at $0.50 with 10 free, tokens by tiers, and $49 per month in advance, since 40 days ago."""
    customer = create(sdk.customers.create_customer, external_id=CUSTOMER, name="Acme Ltd", metadata={"deal": "7"})
    check(sdk.customers.get_customer_by_external_id(external_id=CUSTOMER).id, customer.id)
    calls = make_feature(sdk, "calls", {"type": "COUNT"})
    tokens = make_feature(sdk, "tokens", {"type": "SUM", "field": "n"})
    # The client sends all values as text.
    body, headers = {"accept_numeric_strings": True}, {"x-api-key": KEY}
    httpx.put(f"{URL}/features/{tokens.id}", json=body, headers=headers).raise_for_status()
    plan = sdk.plans.create_plan(name="Growth", lookup_key=f"{CUSTOMER}-growth")
    price = {
        "billing_period": "MONTHLY", "billing_period_count": 1, "currency": "usd", "entity_id": plan.id,
        "entity_type": "PLAN", "price_unit_type": "FIAT",
    }  # fmt: skip
    fee = {"billing_model": "FLAT_FEE", "invoice_cadence": "ADVANCE", "type_": "FIXED", "amount": "49.00"}
    create(sdk.prices.create_price, **price, **fee, display_name="Platform")
    usage = price | {"invoice_cadence": "ARREAR", "type_": "USAGE"}
    create(sdk.prices.create_price, **usage, billing_model="FLAT_FEE", meter_id=calls.meter_id, amount="0.50")
    tiers = [{"up_to": 1000, "unit_amount": "0.01"}, {"unit_amount": "0.005"}]
    create(
        sdk.prices.create_price,
        **usage,
        billing_model="TIERED",
        tier_mode="SLAB",
        tiers=tiers,
        meter_id=tokens.meter_id,
    )
    check([price.amount for price in sdk.plans.get_plan(id=plan.id).prices], ["49", "0.5", None])
    sdk.entitlements.create_entitlement(
        plan_id=plan.id, feature_id=calls.id, feature_type="metered", usage_limit=10, usage_reset_period="MONTHLY"
    )
    subscription = create(
        sdk.subscriptions.create_subscription,
        external_customer_id=CUSTOMER, plan_id=plan.id, currency="usd", billing_period="MONTHLY",
        billing_cycle="anniversary", start_date=BEGINS.isoformat(),
    )  # fmt: skip
    check(sdk.subscriptions.get_subscription(id=subscription.id).subscription_status, "active")
    return {"calls": calls, "tokens": tokens, "subscription": subscription}


def make_feature(sdk: Any, name: str, aggregation: dict[str, str]) -> Any:
    meter = {
        "name": name,
        "event_name": f"{CUSTOMER}.{name}",
        "aggregation": aggregation,
        "reset_usage": "BILLING_PERIOD",
    }
    return sdk.features.create_feature(name=name.title(), type_="metered", lookup_key=f"{CUSTOMER}-{name}", meter=meter)


def send(sdk: Any) -> None:
    """Send 12 calls, the first twice, and 1,500 tokens, one by one and in bulk."""
    at = {"external_customer_id": CUSTOMER, "timestamp": EVENTS_AT}
    sdk.events.ingest_event(event_name=f"{CUSTOMER}.calls", event_id=f"{CUSTOMER}-call-0", **at)
    sdk.events.ingest_event(
        event_name=f"{CUSTOMER}.tokens", event_id=f"{CUSTOMER}-tokens", properties={"n": "1500"}, **at
    )
    sdk.events.ingest_events_bulk(
        events=[
            {"event_name": f"{CUSTOMER}.calls", "event_id": f"{CUSTOMER}-call-{number}", **at} for number in range(12)
        ]
    )


def check_usage(sdk: Any, sold: dict[str, Any]) -> None:
    window = {"start_time": BEGINS.isoformat(), "end_time": (BEGINS + timedelta(days=2)).isoformat()}
    for name, quantity in (("calls", 12), ("tokens", 1500)):
        used = sdk.events.get_usage_by_meter(meter_id=sold[name].meter_id, external_customer_id=CUSTOMER, **window)
        check(used.value, quantity)
    analytics = sdk.events.get_usage_analytics(external_customer_id=CUSTOMER, **window)
    # 2 calls × $0.50; 1,000 × $0.01 + 500 × $0.005
    costs = {item.feature_id: item.total_cost for item in analytics.items}
    check([costs[sold[name].id] for name in ("calls", "tokens")], ["1.00", "12.50"])
    preview = sdk.invoices.get_invoice_preview(subscription_id=sold["subscription"].id)
    check(preview.total, "49.00")  # the next month's fee


def check_invoices(sdk: Any) -> None:
    cycle, opening = sdk.invoices.query_invoice(external_customer_id=CUSTOMER, invoice_status=["DRAFT"]).items
    check((opening.total, cycle.total), ("49.00", "62.50"))  # the fee; the second month's fee, $1.00 and $12.50
    sdk.invoices.finalize_invoice(id=opening.id)
    sdk.payments.create_payment(
        amount="49.00", currency="usd", destination_type="INVOICE", destination_id=opening.id,
        payment_method_type="CARD",
    )  # fmt: skip
    paid = sdk.invoices.get_invoice(id=opening.id)
    check((paid.payment_status, paid.amount_paid, paid.amount_remaining), ("SUCCEEDED", "49.00", "0.00"))
    check(len(sdk.payments.list_payments(destination_id=opening.id).items), 1)
    sdk.invoices.finalize_invoice(id=cycle.id)
    sdk.invoices.void_invoice(id=cycle.id)
    check(sdk.invoices.get_invoice(id=cycle.id).invoice_status, "VOIDED")


def check_refusals(sdk: Any) -> None:
    """Expect an exception of the client with the server's status for each refused request."""
    for status, request in (
        (400, lambda: create(sdk.customers.create_customer, external_id="none", name="Other", email="no address")),
        (404, lambda: sdk.invoices.get_invoice(id="inv_none")),
        (409, lambda: create(sdk.customers.create_customer, external_id=CUSTOMER, name="Acme again")),
    ):
        try:
            request()
        except errors.FlexpriceError as refused:
            check(refused.status_code, status)
        else:
            raise SystemExit(f"The request wasn't refused with {status}.")


def create(operation: Callable[..., Any], **arguments: Any) -> Any:
    """Create an object with the arguments, and those that only this version of the client requires."""
    required = {
        name
        for name, parameter in inspect.signature(operation).parameters.items()
        if parameter.default is parameter.empty
    }
    return operation(**arguments, **{name: value for name, value in REQUIRED_BY_SOME.items() if name in required})


def check(value: Any, expected: Any) -> None:
    if value != expected:
        raise SystemExit(f"{value!r} isn't {expected!r}.")


def wait_for(work: str) -> None:
    """Let the server's worker run."""
    sys.stdout.write(f"{work}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
