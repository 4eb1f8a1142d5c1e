"""Payments in requests and answers."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from billing.api.fields import MoneyField, amount_field
from billing.api.names import PAYMENT_METHODS
from billing.models import Payment, PaymentKind
from config.api.fields import BlankAsNullField, ComputedChoice, ConstantField, NamedChoiceField, TextField

PAYMENT_STATES = ("SUCCEEDED", "REFUNDED")


class PaymentIn(serializers.Serializer[Any]):
    """A payment of an invoice. Without an amount, the whole remaining amount."""

    payment_status = serializers.ChoiceField(["SUCCEEDED"], help_text="Only received payments are recorded.")
    amount = amount_field(required=False, allow_null=True)
    reference = TextField(255, help_text="A reference is recorded once per invoice.")


class PaymentCreate(serializers.Serializer[Any]):
    """A payment that you received for an invoice. Countinghouse doesn't collect payments."""

    amount = amount_field()
    currency = serializers.CharField(max_length=3)
    destination_type = serializers.ChoiceField(["INVOICE"])
    destination_id = serializers.CharField(max_length=64, help_text="The invoice's id.")
    payment_method_type = serializers.ChoiceField(list(PAYMENT_METHODS))
    payment_method_id = TextField(
        255, help_text="The bank's or payment provider's reference. It is recorded once per invoice."
    )
    idempotency_key = TextField(255)
    received_on = serializers.DateField(required=False, allow_null=True)
    note = TextField(2000)


class PaymentOut(serializers.Serializer[Any]):
    """A received payment, or with a negative amount a refund. Payments never change."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(PaymentKind.choices)
    amount = MoneyField()
    currency = serializers.CharField()
    destination_type = ConstantField("INVOICE")
    destination_id = serializers.CharField(source="invoice.public_id")
    invoice_number = serializers.CharField(source="invoice.number", allow_null=True)
    customer_id = serializers.CharField(source="invoice.customer.public_id")
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

    def get_payment_status(self, payment: Payment) -> str:
        return "SUCCEEDED" if payment.kind == PaymentKind.PAYMENT else "REFUNDED"


def payments() -> QuerySet[Payment]:
    """Load payments as `PaymentOut` needs them, newest first."""
    return Payment.objects.select_related("invoice__customer", "reverses", "credit_note").order_by("-pk")


class Reversal(serializers.Serializer[Any]):
    """The reason for reversing a payment."""

    reason = TextField(255, required=True, allow_blank=False)
