"""Payments in requests and responses."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from billing.api.names import PAYMENT_METHODS, name_of
from billing.api.serializers.credit_notes import amount_field
from billing.models import Payment, PaymentKind
from billing.money import money
from config.api.fields import TextField

PAYMENT_STATES = ("SUCCEEDED", "REFUNDED")


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


def serialize_payments(rows: Iterable[Payment]) -> list[Any]:
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
