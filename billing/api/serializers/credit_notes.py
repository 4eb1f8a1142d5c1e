"""What the API says and takes of one-off invoices, payments and credit notes: amounts as strings."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, QuerySet
from rest_framework import serializers

from billing.api.names import CREDIT_NOTE_STATES, CREDIT_REASONS, name_of
from billing.models import CreditNote, CreditNoteLine, RefundTo
from billing.money import money
from config.api.fields import MetadataField, TextField


def amount_field(**given: Any) -> serializers.DecimalField:
    """Make a field of an amount that a request gives: at most four decimals."""
    return serializers.DecimalField(max_digits=24, decimal_places=4, **given)


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


def serialize_credit_notes(rows: Iterable[CreditNote]) -> list[Any]:
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
