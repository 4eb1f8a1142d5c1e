"""What the API says and takes of one-off invoices, payments and credit notes: amounts as strings."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, QuerySet
from rest_framework import serializers

from billing.api_names import CREDIT_NOTE_STATES, CREDIT_REASONS, PAYMENT_METHODS, name_of
from billing.models import CreditNote, CreditNoteLine, Payment, PaymentKind, RefundTo
from billing.serializers import money
from config.api.fields import MetadataField, MomentField, TextField

PAYMENT_STATES = ("SUCCEEDED", "REFUNDED")


def amount_field(**given: Any) -> serializers.DecimalField:
    """Make a field of an amount that a request gives: at most four decimals."""
    return serializers.DecimalField(max_digits=24, decimal_places=4, **given)


class ItemIn(serializers.Serializer[Any]):
    """A charge: `quantity` × `unit_amount`, or an `amount` for the whole of it. Below zero it is a credit."""

    display_name = TextField(512, required=True, allow_blank=False)
    quantity = serializers.DecimalField(max_digits=24, decimal_places=12, required=False, allow_null=True)
    unit_amount = serializers.DecimalField(max_digits=24, decimal_places=12, required=False, allow_null=True)
    amount = amount_field(required=False, allow_null=True)
    period_start = MomentField(required=False, allow_null=True)
    period_end = MomentField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("amount") is None and attrs.get("unit_amount") is None:
            raise serializers.ValidationError({"amount": ["Give an amount, or a unit amount."]})
        start, end = attrs.get("period_start"), attrs.get("period_end")
        if (start is None) != (end is None) or (start is not None and start >= end):
            raise serializers.ValidationError({"period_end": ["Give both edges of a period, the end after the start."]})
        return attrs


class OneOffIn(serializers.Serializer[Any]):
    """A one-off invoice. The totals are what you expect it to come to: with others it is refused."""

    customer_id = serializers.CharField(max_length=64)
    currency = serializers.CharField(max_length=3)
    subtotal = amount_field(help_text="The items, before taxes.")
    total = amount_field(required=False, allow_null=True, help_text="With taxes, if you know them.")
    amount_due = amount_field(required=False, allow_null=True, help_text="Taken, and not compared: credit may pay it.")
    invoice_type = serializers.ChoiceField(["ONE_OFF", "CREDIT"], default="ONE_OFF")
    invoice_status = serializers.ChoiceField(["DRAFT", "FINALIZED"], default="DRAFT")
    line_items = ItemIn(many=True, required=False, help_text="Without any, one item of the subtotal.")
    description = TextField(2000)
    due_date = MomentField(required=False, allow_null=True)
    idempotency_key = TextField(255, help_text="One key makes one invoice.")
    metadata = MetadataField(required=False)


class InvoiceUpdate(serializers.Serializer[Any]):
    """What can be changed: metadata unless it is void; the due date, and a one-off's items, of a draft."""

    due_date = MomentField(required=False, allow_null=True)
    description = TextField(2000)
    line_items = ItemIn(many=True, required=False)
    metadata = MetadataField(required=False)


class PaymentIn(serializers.Serializer[Any]):
    """A payment of a part, or of all that is left when no amount is given."""

    payment_status = serializers.ChoiceField(["SUCCEEDED"], help_text="Only money that was received is recorded.")
    amount = amount_field(required=False, allow_null=True)
    reference = TextField(255, help_text="One is recorded once for an invoice.")


class PaymentCreate(serializers.Serializer[Any]):
    """Money received outside, for an invoice. Nothing is collected."""

    amount = amount_field()
    currency = serializers.CharField(max_length=3)
    destination_type = serializers.ChoiceField(["INVOICE"])
    destination_id = serializers.CharField(max_length=64, help_text="The invoice's id.")
    payment_method_type = serializers.ChoiceField(list(PAYMENT_METHODS))
    payment_method_id = TextField(
        255, help_text="The bank's or the provider's reference, recorded once for an invoice."
    )
    idempotency_key = TextField(255)
    received_on = serializers.DateField(required=False, allow_null=True)
    note = TextField(2000)


class PaymentOut(serializers.Serializer[Any]):
    """Money received, or below zero given back. Recorded once, and never changed."""

    id = serializers.CharField()
    kind = serializers.ChoiceField(PaymentKind.choices)
    amount = serializers.CharField()
    currency = serializers.CharField()
    destination_type = serializers.ChoiceField(["INVOICE"])
    destination_id = serializers.CharField()
    invoice_number = serializers.CharField(allow_null=True)
    customer_id = serializers.CharField()
    payment_status = serializers.ChoiceField(PAYMENT_STATES)
    payment_method_type = serializers.ChoiceField(list(PAYMENT_METHODS))
    payment_method_id = serializers.CharField(allow_null=True)
    received_on = serializers.DateField()
    note = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    reverses_id = serializers.CharField(allow_null=True)
    credit_note_id = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["published"])
    succeeded_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()


def payments() -> QuerySet[Payment]:
    """Ask for payments with all that is written of them, newest first."""
    return Payment.objects.select_related("invoice__customer", "reverses", "credit_note").order_by("-pk")


def payments_written(rows: Iterable[Payment]) -> list[Any]:
    """Write payments that were loaded by `payments`."""
    return list(PaymentOut([_payment(row) for row in rows], many=True).data)


def _payment(row: Payment) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "kind": row.kind,
        "amount": money(row.amount, row.currency),
        "currency": row.currency,
        "destination_type": "INVOICE",
        "destination_id": row.invoice.public_id,
        "invoice_number": row.invoice.number,
        "customer_id": row.invoice.customer.public_id,
        "payment_status": "SUCCEEDED" if row.kind == PaymentKind.PAYMENT else "REFUNDED",
        "payment_method_type": name_of(PAYMENT_METHODS, row.method),
        "payment_method_id": row.reference or None,
        "received_on": row.received_on,
        "note": row.note,
        "reason": row.reason or None,
        "reverses_id": row.reverses.public_id if row.reverses else None,
        "credit_note_id": row.credit_note.public_id if row.credit_note else None,
        "idempotency_key": row.idempotency_key,
        "status": "published",
        "succeeded_at": row.recorded_at,
        "created_at": row.recorded_at,
    }


class Reversal(serializers.Serializer[Any]):
    """Why a payment is taken back."""

    reason = TextField(255, required=True, allow_blank=False)


class CreditLineIn(serializers.Serializer[Any]):
    """An amount off one line of the invoice, after its discounts and without tax on top, which follows."""

    invoice_line_item_id = serializers.CharField(max_length=64)
    amount = amount_field()


class CreditNoteIn(serializers.Serializer[Any]):
    """A draft credit note. Without lines, it credits all that is left of the invoice."""

    invoice_id = serializers.CharField(max_length=64)
    reason = serializers.ChoiceField(list(CREDIT_REASONS))
    memo = TextField(2000)
    line_items = CreditLineIn(many=True, required=False)
    refund_to = serializers.ChoiceField(
        RefundTo.choices, default=RefundTo.WALLET, help_text="Where money that was paid goes back to."
    )
    process_credit_note = serializers.BooleanField(default=False, help_text="Finalize it at once.")
    idempotency_key = TextField(255, help_text="One key makes one credit note.")
    metadata = MetadataField(required=False)


class CreditLineOut(serializers.Serializer[Any]):
    """What is taken off one line."""

    id = serializers.CharField()
    invoice_line_item_id = serializers.CharField()
    display_name = serializers.CharField()
    amount = serializers.CharField()
    tax_amount = serializers.CharField()
    currency = serializers.CharField()


class CreditNoteOut(serializers.Serializer[Any]):
    """What is taken off an invoice. ADJUSTMENT lowers what is to be paid, REFUND gives money back that was paid."""

    id = serializers.CharField()
    credit_note_number = serializers.CharField(allow_null=True)
    credit_note_status = serializers.ChoiceField(list(CREDIT_NOTE_STATES))
    credit_note_type = serializers.ChoiceField(["ADJUSTMENT", "REFUND"])
    invoice_id = serializers.CharField()
    customer_id = serializers.CharField()
    subscription_id = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    reason = serializers.ChoiceField(list(CREDIT_REASONS))
    memo = serializers.CharField()
    subtotal = serializers.CharField()
    total_tax = serializers.CharField()
    total_amount = serializers.CharField()
    refund_amount = serializers.CharField(help_text="The part that is given back; of a draft, as of now.")
    refund_to = serializers.ChoiceField(RefundTo.choices)
    line_items = CreditLineOut(many=True)
    metadata = MetadataField()
    idempotency_key = serializers.CharField(allow_null=True)
    void_reason = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["published"])
    finalized_at = serializers.DateTimeField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def credit_notes() -> QuerySet[CreditNote]:
    """Ask for credit notes with all that is written of them, newest first."""
    lines = CreditNoteLine.objects.select_related("invoice_line").order_by("position")
    rows = CreditNote.objects.select_related("invoice__subscription", "customer").order_by("-pk")
    return rows.prefetch_related(Prefetch("lines", lines))


def credit_notes_written(rows: Iterable[CreditNote]) -> list[Any]:
    """Write credit notes that were loaded by `credit_notes`."""
    return list(CreditNoteOut([_credit_note(row) for row in rows], many=True).data)


def _credit_note(row: CreditNote) -> dict[str, Any]:
    left = max(row.invoice.amount_remaining, Decimal(0))
    refund = max(row.total - left, Decimal(0)) if row.is_draft else row.refund_due
    subscription = row.invoice.subscription
    return {
        "id": row.public_id,
        "credit_note_number": row.number,
        "credit_note_status": name_of(CREDIT_NOTE_STATES, row.state),
        "credit_note_type": "REFUND" if refund else "ADJUSTMENT",
        "invoice_id": row.invoice.public_id,
        "customer_id": row.customer.public_id,
        "subscription_id": subscription.public_id if subscription else None,
        "currency": row.currency,
        "reason": name_of(CREDIT_REASONS, row.reason),
        "memo": row.memo,
        "subtotal": money(row.subtotal, row.currency),
        "total_tax": money(row.tax_total, row.currency),
        "total_amount": money(row.total, row.currency),
        "refund_amount": money(refund, row.currency),
        "refund_to": row.refund_to,
        "line_items": [
            {
                "id": line.public_id,
                "invoice_line_item_id": line.invoice_line.public_id,
                "display_name": line.description,
                "amount": money(line.amount, row.currency),
                "tax_amount": money(line.tax_amount, row.currency),
                "currency": row.currency,
            }
            for line in row.lines.all()
        ],
        "metadata": row.metadata,
        "idempotency_key": row.idempotency_key,
        "void_reason": row.void_reason or None,
        "status": "published",
        "finalized_at": row.finalized_at,
        "voided_at": row.voided_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
