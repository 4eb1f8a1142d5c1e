"""The official client reads parts of subscriptions, totals and refunds, and manages keys, alerts and drafts."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from flexprice import Flexprice
from flexprice.models.errors import FlexpriceError

from events.access.keys import make_key
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sdk(live_server: Any) -> Iterator[Flexprice]:
    with Flexprice(server_url=f"{live_server.url}/v1", api_key_auth=make_key("Shop")[1]) as client:
        yield client


def test_keys_are_created_listed_and_revoked(sdk):
    created = sdk.secrets.create_api_key(name="Reports", type_="private_key")
    assert created.api_key.startswith("sk_")
    assert "Reports" in [key.name for key in sdk.secrets.list_api_keys(status="published").items]
    sdk.secrets.delete_api_key(id=created.secret.id)
    assert [key.name for key in sdk.secrets.list_api_keys(status="archived").items] == ["Reports"]


def test_a_subscription_is_read_with_its_parts(sdk):
    calls = make_feature(name="Calls")
    subscription = make_subscription(
        customer=make_customer(external_id="acme"), plan=make_version({"feature": calls, "unit_amount": Decimal(2)})
    )
    sdk.subscriptions.pause_subscription(id=subscription.public_id, reason="Holiday")
    whole = sdk.subscriptions.get_subscription_v2(id=subscription.public_id)
    assert [pause.pause_status for pause in whole.pauses] == ["active"]
    assert len(whole.phases) == 2
    found = sdk.subscriptions.query_subscription_line_items(subscription_ids=[subscription.public_id])
    assert [(item.meter_id, item.currency) for item in found.items] == [(calls.public_id, "USD")]


def test_a_usage_alert_is_set_and_disabled(sdk):
    calls = make_feature(name="Calls")
    subscription = make_subscription(plan=make_version({"feature": calls}))
    config = {"alert_enabled": True, "critical": {"threshold": "100", "condition": "above"}}
    made = sdk.alert_settings.create_alert_settings(
        entity_type="feature",
        entity_id=calls.public_id,
        parent_entity_type="subscription",
        parent_entity_id=subscription.public_id,
        config=config,
    )
    assert (made.enabled, made.config.critical.threshold) == (True, "100")
    assert [one.id for one in sdk.alert_settings.query_alert_settings(entity_type="feature").items] == [made.id]
    changed = sdk.alert_settings.update_alert_settings(id=made.id, config=config | {"alert_enabled": False})
    assert changed.enabled is False
    with pytest.raises(FlexpriceError, match="A threshold can't change"):
        sdk.alert_settings.update_alert_settings(id=made.id, config={"critical": {"threshold": "5"}})
    sdk.alert_settings.delete_alert_settings(id=made.id)


def test_a_draft_is_modified_and_its_totals_are_summarized(sdk):
    customer = make_customer(external_id="acme")
    draft = sdk.invoices.create_invoice(
        customer_id=customer.public_id, currency="usd", subtotal="50.00", total="50.00", amount_due="50.00",
        line_items=[{"display_name": "Setup", "quantity": "1", "amount": "50.00"}],
    )  # fmt: skip
    params = {"action": "add", "items": [{"display_name": "Travel", "quantity": "1", "amount": "20.00"}]}
    modified = sdk.invoices.execute_invoice_modify(id=draft.id, type_="line_item", line_item_params=params)
    assert modified.invoice.total == "70.00"
    sdk.invoices.finalize_invoice(id=draft.id)
    payment = sdk.payments.create_payment(
        amount="30.00", currency="USD", destination_type="INVOICE", destination_id=draft.id,
        payment_method_type="OFFLINE",
    )  # fmt: skip
    [summary] = sdk.invoices.get_customer_invoice_summary(id=customer.public_id).summaries
    assert (summary.total_revenue_amount, summary.total_unpaid_amount, summary.unpaid_fixed_charges) == (
        "70.00", "40.00", "70.00",
    )  # fmt: skip
    sdk.payments.delete_payment(id=payment.id)
    [summary] = sdk.invoices.get_customer_invoice_summary(id=customer.public_id).summaries
    assert summary.total_unpaid_amount == "70.00"


def test_refunds_are_listed(sdk):
    customer = make_customer(external_id="acme")
    invoice = sdk.invoices.create_invoice(
        customer_id=customer.public_id, currency="usd", subtotal="20.00", total="20.00", amount_due="20.00",
        line_items=[{"display_name": "Setup", "quantity": "1", "amount": "20.00"}], invoice_status="FINALIZED",
    )  # fmt: skip
    sdk.invoices.update_invoice_payment_status(id=invoice.id, payment_status="SUCCEEDED")
    sdk.credit_notes.create_credit_note(
        invoice_id=invoice.id,
        reason="BILLING_ERROR",
        process_credit_note=True,
        line_items=[{"invoice_line_item_id": invoice.line_items[0].id, "amount": "5.00"}],
    )
    [refund] = sdk.refunds.list_refunds().items
    assert (refund.amount, refund.refund_status) == ("5.00", "SUCCEEDED")
    assert sdk.refunds.get_refund(id=refund.id).invoice_id == invoice.id
