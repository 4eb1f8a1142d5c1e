"""The official Flexprice client settles a one-off invoice: a partial payment, a credit note, a refund."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from flexprice import Flexprice
from flexprice.models.errors import ErrorResponse

from billing.models import Wallet
from events.access.keys import make_key
from tests.factories import make_customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sdk(live_server: Any) -> Iterator[Flexprice]:
    with Flexprice(server_url=f"{live_server.url}/v1", api_key_auth=make_key("Shop")[1]) as client:
        yield client


def test_an_invoice_is_created_paid_in_part_and_credited(sdk):
    customer = make_customer(external_id="acme")
    invoice = sdk.invoices.create_invoice(
        customer_id=customer.public_id,
        currency="usd",
        subtotal="500.00",
        total="500.00",
        amount_due="500.00",
        line_items=[{"display_name": "Setup", "quantity": "2", "amount": "500.00"}],
        idempotency_key="order-7",
    )
    assert (invoice.invoice_type, invoice.invoice_status, invoice.total) == ("ONE_OFF", "DRAFT", "500.00")
    sdk.invoices.finalize_invoice(id=invoice.id)

    part = sdk.payments.create_payment(
        amount="400.00",
        currency="USD",
        destination_type="INVOICE",
        destination_id=invoice.id,
        payment_method_type="OFFLINE",
        idempotency_key="wire 7",
    )
    assert (part.amount, part.payment_status) == ("400.00", "SUCCEEDED")
    assert sdk.payments.get_payment(id=part.id).id == part.id
    assert [payment.id for payment in sdk.payments.list_payments().items] == [part.id]

    note = sdk.credit_notes.create_credit_note(
        invoice_id=invoice.id,
        reason="BILLING_ERROR",
        process_credit_note=False,  # the client's default finalizes the credit note immediately
        line_items=[{"invoice_line_item_id": invoice.line_items[0].id, "amount": "150.00"}],
    )
    assert (note.credit_note_status, note.credit_note_type, note.total_amount) == ("DRAFT", "REFUND", "150.00")
    done = sdk.credit_notes.process_credit_note(id=note.id)
    assert (done.credit_note_status, done.credit_note_number) == ("FINALIZED", "CN-000001")
    # $100 was due; the other $50 of the credit note is refunded as credit
    settled = sdk.invoices.get_invoice(id=invoice.id)
    assert (settled.payment_status, settled.amount_paid, settled.amount_remaining) == ("SUCCEEDED", "350.00", "0.00")
    assert settled.adjustment_amount == "150.00"
    assert Wallet.objects.get(customer=customer).balance == Decimal(50)
    with pytest.raises(ErrorResponse) as kept:
        sdk.credit_notes.void_credit_note(id=note.id)
    assert "was refunded" in kept.value.data.message
    assert sdk.invoices.update_invoice(id=invoice.id, metadata={"erp": "9"}).metadata == {"erp": "9"}
