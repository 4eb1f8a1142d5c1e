"""Credit notes in requests and answers."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from rest_framework import serializers

from billing.api.fields import ComputedMoney, MoneyField, amount_field
from billing.api.names import CREDIT_NOTE_STATES, CREDIT_REASONS
from billing.api.serializers.einvoices import EInvoiceOut
from billing.models import CreditNote, CreditNoteLine, RefundTo
from billing.settlement.credit_notes import calculate_effect
from config.api.contract import ContractRecord
from config.api.fields import (
    BlankAsNullField,
    ComputedChoice,
    ConstantField,
    MetadataField,
    NamedChoiceField,
    TextField,
)
from config.api.unknown_names import Unused
from config.limits import MOST_ITEMS


class CreditLineIn(serializers.Serializer[Any]):
    """An amount to credit on one invoice line, after its discounts. Tax on top of it is added automatically."""

    unused: ClassVar[dict[str, Unused]] = {
        "display_name": Unused("A credit line has the invoice line's name. Use the credit note's memo."),
        "metadata": Unused("Credit lines have no metadata. Use the credit note's metadata."),
    }

    invoice_line_item_id = serializers.CharField(max_length=64)
    amount = amount_field()


class CreditNoteIn(serializers.Serializer[Any]):
    """A draft credit note. Without line items, it credits the invoice's whole remaining amount."""

    unused: ClassVar[dict[str, Unused]] = {
        "credit_note_number": Unused("Credit notes are numbered when they are finalized. Leave this field out."),
        "refund_target": Unused("Use refund_to.", ("PREPAID_WALLET",)),
    }

    invoice_id = serializers.CharField(max_length=64)
    reason = serializers.ChoiceField(list(CREDIT_REASONS))
    memo = TextField(2000)
    line_items = CreditLineIn(many=True, required=False, max_length=MOST_ITEMS)  # type: ignore[call-arg]  # a list takes it
    refund_to = serializers.ChoiceField(
        RefundTo.choices, default=RefundTo.WALLET, help_text="Where a paid amount is refunded to."
    )
    process_credit_note = serializers.BooleanField(default=False, help_text="Finalize the credit note immediately.")
    idempotency_key = TextField(255, help_text="A repeated key returns the existing credit note.")
    metadata = MetadataField(required=False)


class CreditLineOut(ContractRecord):
    """The amount credited on one invoice line."""

    nulls: ClassVar[tuple[str, ...]] = ("created_at", "metadata", "status", "updated_at")

    id = serializers.CharField(source="public_id")
    credit_note_id = serializers.CharField(source="credit_note.public_id")
    invoice_line_item_id = serializers.CharField(source="invoice_line.public_id")
    display_name = serializers.CharField(source="description")
    amount = MoneyField(currency="credit_note.currency")
    tax_amount = MoneyField(currency="credit_note.currency")
    currency = serializers.CharField(source="credit_note.currency")


class CreditNoteOut(ContractRecord):
    """An amount credited on an invoice. ADJUSTMENT reduces the amount due; REFUND refunds a paid amount."""

    nulls: ClassVar[tuple[str, ...]] = ("customer", "invoice", "refund_status", "subscription")

    id = serializers.CharField(source="public_id")
    credit_note_number = serializers.CharField(source="number", allow_null=True)
    credit_note_status = NamedChoiceField(CREDIT_NOTE_STATES, source="state")
    credit_note_type = ComputedChoice(["ADJUSTMENT", "REFUND"])
    invoice_id = serializers.CharField(source="invoice.public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    subscription_id = serializers.CharField(source="invoice.subscription.public_id", allow_null=True)
    currency = serializers.CharField()
    reason = NamedChoiceField(CREDIT_REASONS)
    memo = serializers.CharField()
    subtotal = MoneyField()
    total_tax = MoneyField(source="tax_total")
    total_amount = MoneyField(source="total")
    refund_amount = ComputedMoney(help_text="The part to refund. On a draft, the currently expected amount.")
    refund_to = serializers.ChoiceField(RefundTo.choices)
    line_items = CreditLineOut(source="lines", many=True)
    einvoice = EInvoiceOut(
        default=None, allow_null=True, help_text="Download the XML with GET /v1/creditnotes/{credit_note_id}/einvoice."
    )
    metadata = MetadataField()
    idempotency_key = serializers.CharField(allow_null=True)
    void_reason = BlankAsNullField()
    status = ConstantField("published")
    finalized_at = serializers.DateTimeField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_refund_amount(self, note: CreditNote) -> Decimal:
        if not note.is_draft:
            return note.refund_due
        return calculate_effect(note.invoice, note.total).refund_due

    def get_credit_note_type(self, note: CreditNote) -> str:
        return "REFUND" if self.get_refund_amount(note) else "ADJUSTMENT"


def credit_notes() -> QuerySet[CreditNote]:
    """Load credit notes as `CreditNoteOut` needs them, newest first."""
    lines = CreditNoteLine.objects.select_related("invoice_line").order_by("position")
    related = ("invoice__subscription", "customer", "einvoice")
    rows = CreditNote.objects.select_related(*related).defer("einvoice__xml").order_by("-pk")
    return rows.prefetch_related(Prefetch("lines", lines))
