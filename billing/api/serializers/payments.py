"""Payments in requests and answers."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from billing.api.fields import MoneyField, amount_field
from billing.api.names import ADJUSTMENT_METHODS, MONEY_METHODS, PAYMENT_METHODS
from billing.models import Payment, PaymentKind, SurplusUse
from config.api.contract import ContractRecord
from config.api.fields import (
    BlankAsNullField,
    ComputedChoice,
    ComputedText,
    ConstantField,
    DayIn,
    NamedChoiceField,
    TextField,
)
from config.api.unknown_names import Unused

NOT_COLLECTED = "Payments aren't collected here. Record a payment when you have received it."
PAYMENT_STATES = ("SUCCEEDED", "REFUNDED")
SUCCEEDED_KINDS = (PaymentKind.PAYMENT, PaymentKind.APPLIED, PaymentKind.ADJUSTED)
DESTINATIONS = ("INVOICE", "CUSTOMER")
MOST_APPLICATIONS, MOST_IN_BATCH = 100, 100
OVERPAYMENT = (
    "What becomes of the part that is more than the amount due: credit adds it to the customer's prepaid credit, "
    "unapplied keeps it with the payment."
)


class PaymentIn(serializers.Serializer[Any]):
    """A payment of an invoice. Without an amount, the whole remaining amount."""

    payment_status = serializers.ChoiceField(
        ["SUCCEEDED", "PENDING"],
        help_text="With PENDING, the amount of a partial payment is required.",
    )
    amount = amount_field(required=False, allow_null=True)
    reference = TextField(255, help_text="A reference is recorded once per invoice.")
    overpayment = serializers.ChoiceField(SurplusUse.values, default=SurplusUse.CREDIT.value, help_text=OVERPAYMENT)

    def validate(self, attrs: Any) -> Any:
        if attrs["payment_status"] == "PENDING" and attrs.get("amount") is None:
            raise serializers.ValidationError({"amount": "This field is required for a partial payment."})
        return attrs


class ApplicationIn(serializers.Serializer[Any]):
    """What a payment of a customer pays of one invoice."""

    invoice_id = serializers.CharField(max_length=64)
    amount = amount_field(required=False, default=Decimal(0), min_value=Decimal(0))
    bank_charge = amount_field(
        required=False,
        default=Decimal(0),
        min_value=Decimal(0),
        help_text="What a bank deducted on the way. It settles the invoice without money.",
    )
    write_off = amount_field(
        required=False, default=Decimal(0), min_value=Decimal(0), help_text="A small difference that isn't claimed."
    )


class PaymentCreate(serializers.Serializer[Any]):
    """A payment that you received. Countinghouse doesn't collect payments."""

    unused: ClassVar[dict[str, Unused]] = {
        "process_payment": Unused("A payment is recorded once you have received it. Use true.", (True,)),
        "save_card_and_make_default": Unused(NOT_COLLECTED, (False,)),
        "cancel_url": Unused(NOT_COLLECTED),
        "success_url": Unused(NOT_COLLECTED),
        "gateway_options": Unused(NOT_COLLECTED),
        "payment_gateway": Unused(NOT_COLLECTED),
        "metadata": Unused("Payments have no metadata. Use note."),
    }

    amount = amount_field()
    currency = serializers.CharField(max_length=3)
    destination_type = serializers.ChoiceField(
        DESTINATIONS, help_text="CUSTOMER for a payment of several invoices, or of none yet."
    )
    destination_id = serializers.CharField(max_length=64, help_text="The invoice's or the customer's id.")
    applications = ApplicationIn(  # type: ignore[call-arg]  # a list takes it
        many=True,
        required=False,
        max_length=MOST_APPLICATIONS,
        help_text="The invoices that a customer's payment pays. What it doesn't pay is the overpayment.",
    )
    apply_oldest_first = serializers.BooleanField(
        default=False, help_text="Pay the customer's unpaid invoices in the order of their due dates."
    )
    payment_method_type = serializers.ChoiceField(list(MONEY_METHODS))
    payment_method_id = TextField(
        255, help_text="The bank's or payment provider's reference. It is recorded once per invoice or customer."
    )
    idempotency_key = TextField(255)
    received_on = DayIn(required=False, allow_null=True)
    note = TextField(2000)
    overpayment = serializers.ChoiceField(SurplusUse.values, default=SurplusUse.CREDIT.value, help_text=OVERPAYMENT)

    def validate(self, attrs: Any) -> Any:
        is_applied = bool(attrs.get("applications") or attrs["apply_oldest_first"])
        if is_applied and attrs["destination_type"] == "INVOICE":
            raise serializers.ValidationError({"applications": "Only payments of a CUSTOMER are applied to invoices."})
        if attrs.get("applications") and attrs["apply_oldest_first"]:
            raise serializers.ValidationError({"applications": "Name invoices, or use apply_oldest_first, not both."})
        return attrs


class PaymentBatch(serializers.Serializer[Any]):
    """Payments of customers, recorded together: all, or none if one is refused."""

    payments = serializers.ListField(child=PaymentCreate(), min_length=1, max_length=MOST_IN_BATCH)


class PaymentBatchOut(serializers.Serializer[Any]):
    """The recorded payments, in the order of the request."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"payments": PaymentOut(many=True)}


class DifferenceIn(serializers.Serializer[Any]):
    """A part of the amount due that is settled without money."""

    amount = amount_field()
    difference_type = serializers.ChoiceField(list(ADJUSTMENT_METHODS))
    reason = TextField(255, required=True, allow_blank=False)
    received_on = DayIn(required=False, allow_null=True, help_text="The day of the difference.")
    idempotency_key = TextField(255)


class SurplusIn(serializers.Serializer[Any]):
    """The part of the unapplied amount to use. Without an amount, all of it."""

    amount = amount_field(required=False, allow_null=True)
    idempotency_key = TextField(255)


class SurplusToInvoice(SurplusIn):
    """The invoice to pay. Without an amount, as much as is unapplied and due."""

    invoice_id = serializers.CharField(max_length=64)


class SurplusRefund(SurplusIn):
    """A refund of unapplied money that you paid out."""

    reason = TextField(255, required=True, allow_blank=False)
    payment_method_type = serializers.ChoiceField(list(MONEY_METHODS), default="BANK_TRANSFER")
    payment_method_id = TextField(255, help_text="The bank's or payment provider's reference.")
    received_on = DayIn(required=False, allow_null=True, help_text="The day of the refund.")


class PaymentOut(ContractRecord):
    """A received payment, an adjustment, or with a negative amount a refund. Payments never change."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("attempts", "error_message", "failed_at", "gateway_metadata", "gateway_payment_id", "gateway_tracking_id"),
        *("metadata", "payment_gateway", "payment_url", "refunded_at", "save_card_and_make_default"),
        *("track_attempts", "voided_at"),
    )

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(PaymentKind.choices)
    amount = MoneyField(help_text="The money that moved. 0 if the surplus of an earlier payment is applied.")
    applied_amount = MoneyField(source="applied", help_text="The part that the invoice's paid amount changed by.")
    overpaid_amount = MoneyField(
        source="surplus",
        help_text="The part that was more than the amount due. Negative if it is taken from the source's.",
    )
    unapplied_amount = MoneyField(
        source="unapplied", help_text="The part that is neither applied to an invoice, refunded, nor prepaid credit."
    )
    source_id = serializers.CharField(
        source="source.public_id", allow_null=True, help_text="The payment whose overpaid amount is used."
    )
    currency = serializers.CharField()
    destination_type = ComputedChoice(DESTINATIONS)
    destination_id = ComputedText(help_text="The id of the invoice, or of the customer without an invoice.")
    invoice_number = serializers.CharField(source="invoice.number", allow_null=True)
    customer_id = serializers.CharField(source="customer.public_id")
    account = BlankAsNullField(help_text="The account of the general ledger that an adjustment is posted to.")
    payment_status = ComputedChoice(PAYMENT_STATES)
    payment_method_type = NamedChoiceField(PAYMENT_METHODS, source="method")
    payment_method_id = BlankAsNullField(source="reference")
    received_on = serializers.DateField()
    note = serializers.CharField()
    reason = BlankAsNullField()
    reverses_id = serializers.CharField(source="reverses.public_id", allow_null=True)
    credit_note_id = serializers.CharField(source="credit_note.public_id", allow_null=True)
    idempotency_key = serializers.CharField(allow_null=True)
    status = ConstantField("published")
    succeeded_at = serializers.DateTimeField(source="recorded_at")
    created_at = serializers.DateTimeField(source="recorded_at")
    updated_at = serializers.DateTimeField(source="recorded_at")

    def get_destination_type(self, payment: Payment) -> str:
        return "INVOICE" if payment.invoice_id else "CUSTOMER"

    def get_destination_id(self, payment: Payment) -> str:
        return (payment.invoice or payment.customer).public_id

    def get_payment_status(self, payment: Payment) -> str:
        return "SUCCEEDED" if payment.kind in SUCCEEDED_KINDS else "REFUNDED"


def payments() -> QuerySet[Payment]:
    """Load payments as `PaymentOut` needs them, newest first."""
    related = ("customer", "invoice", "reverses", "credit_note", "source")
    rows = Payment.objects.with_unapplied().select_related(*related)
    return rows.order_by("-pk")


class Reversal(serializers.Serializer[Any]):
    """The reason for reversing a payment."""

    reason = TextField(255, required=True, allow_blank=False)
