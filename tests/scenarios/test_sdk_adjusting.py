"""The official Flexprice client sells prepaid credit, gives a discount and charges tax."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexprice import Flexprice
from flexprice.models.errors import ErrorResponse

from billing.runs.billing_run import run_to_end
from events.access.keys import make_key
from tests.billing.world import D
from tests.factories import make_customer, make_version

pytestmark = pytest.mark.django_db(transaction=True)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(49), "name": "Platform"}


@pytest.fixture
def sdk(live_server: Any) -> Any:
    with Flexprice(server_url=f"{live_server.url}/v1", api_key_auth=make_key("Shop")[1]) as client:
        yield client


def test_the_client_discounts_taxes_and_prepays_an_invoice(sdk):
    customer, plan = make_customer(external_id="acme"), make_version(FEE, name="Growth").plan
    coupon = sdk.coupons.create_coupon(
        name="Welcome", type_="percentage", percentage_off="10", cadence="once", coupon_code="WELCOME"
    )
    assert sdk.coupons.get_coupon_by_code(code="WELCOME").id == coupon.id
    rate = sdk.tax_rates.create_tax_rate(code="VAT", name="VAT", percentage_value="20")
    assigned = sdk.tax_associations.create_tax_association(
        tax_rate_code="VAT", entity_type="customer", entity_id=customer.public_id, priority=1
    )
    assert (assigned.tax_rate_id, assigned.entity_id) == (rate.id, customer.public_id)
    wallet = sdk.wallets.create_wallet(currency="USD", customer_id=customer.public_id, initial_credits_to_load="5")
    top_up = sdk.wallets.top_up_wallet(
        id=wallet.id, transaction_reason="PURCHASED_CREDIT_DIRECT", amount="20", idempotency_key="p1"
    )
    assert (top_up.wallet.balance, top_up.wallet_transaction.credit_balance_after) == ("25.00", "25.00")
    now = datetime.now(UTC)
    subscription = sdk.subscriptions.create_subscription(
        plan_id=plan.public_id, currency="USD", billing_period="MONTHLY", billing_cycle="anniversary",
        customer_id=customer.public_id, start_date=now - timedelta(days=3), coupons=["WELCOME"],
    )  # fmt: skip
    [association] = sdk.coupon_associations.list_coupon_associations(subscription_ids=[subscription.id]).items
    assert association.coupon_id == coupon.id
    run_to_end(as_of=datetime.now(UTC))
    [invoice] = sdk.invoices.query_invoice(customer_id=customer.public_id).items
    # 49 less 4.90 is 44.10, 20% of it is 8.82: 52.92, 25 of it from credit.
    assert (invoice.total_discount, invoice.total_tax, invoice.total) == ("4.90", "8.82", "52.92")
    assert (invoice.total_prepaid_credits_applied, invoice.amount_due) == ("25.00", "27.92")
    assert [tax.tax_amount for tax in invoice.taxes] == ["8.82"]
    assert [application.discounted_amount for application in invoice.coupon_applications] == ["4.90"]
    sdk.invoices.finalize_invoice(id=invoice.id)
    listed = sdk.wallets.get_wallet_transactions(id_path_parameter=wallet.id)
    assert [entry.amount for entry in listed.items][:2] == ["20.00", "5.00"]
    assert sdk.wallets.get_wallet_balance(id=wallet.id).balance == "0.00"
    sdk.invoices.void_invoice(id=invoice.id)
    assert sdk.wallets.get_wallet(id=wallet.id).balance == "25.00"
    assert [wallet.id for wallet in sdk.wallets.get_wallets_by_customer_id(id=customer.public_id)] == [wallet.id]
    sdk.wallets.terminate_wallet(id=wallet.id)
    with pytest.raises(ErrorResponse, match="is closed"):
        sdk.wallets.top_up_wallet(id=wallet.id, transaction_reason="FREE_CREDIT_GRANT", amount="1")
    sdk.tax_associations.delete_tax_association(id=assigned.id)
    sdk.tax_rates.delete_tax_rate(id=rate.id)
    assert sdk.coupons.delete_coupon(id=coupon.id) == {"message": "Coupon archived"}
