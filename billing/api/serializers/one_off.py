"""One-off invoices in requests."""

from typing import Any

from rest_framework import serializers

from billing.api.fields import amount_field
from config.api.fields import MetadataField, MomentField, TextField


class ItemIn(serializers.Serializer[Any]):
    """A line item: `quantity` × `unit_amount`, or an `amount`. A negative item is a credit."""

    display_name = TextField(512, required=True, allow_blank=False)
    quantity = serializers.DecimalField(max_digits=24, decimal_places=12, required=False, allow_null=True)
    unit_amount = serializers.DecimalField(max_digits=24, decimal_places=12, required=False, allow_null=True)
    amount = amount_field(required=False, allow_null=True)
    period_start = MomentField(required=False, allow_null=True)
    period_end = MomentField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("amount") is None and attrs.get("unit_amount") is None:
            raise serializers.ValidationError({"amount": ["Specify an amount or a unit_amount."]})
        start, end = attrs.get("period_start"), attrs.get("period_end")
        if (start is None) != (end is None) or (start is not None and start >= end):
            raise serializers.ValidationError(
                {"period_end": ["Specify both period_start and period_end, with the end after the start."]}
            )
        return attrs


class InvoiceUpdate(serializers.Serializer[Any]):
    """The fields to change: metadata until the invoice is void; due date and a one-off's line items on a draft."""

    due_date = MomentField(required=False, allow_null=True)
    description = TextField(2000)
    line_items = ItemIn(many=True, required=False)
    metadata = MetadataField(required=False)


class OneOffIn(InvoiceUpdate):
    """A one-off invoice. It is refused if its items don't amount to the totals that you expect."""

    customer_id = serializers.CharField(max_length=64)
    currency = serializers.CharField(max_length=3)
    subtotal = amount_field(help_text="The total of the line items, before taxes.")
    total = amount_field(required=False, allow_null=True, help_text="The total with taxes, if you know it.")
    amount_due = amount_field(
        required=False, allow_null=True, help_text="Accepted but not checked, as prepaid credit may reduce the amount."
    )
    invoice_type = serializers.ChoiceField(["ONE_OFF", "CREDIT"], default="ONE_OFF")
    invoice_status = serializers.ChoiceField(["DRAFT", "FINALIZED"], default="DRAFT")
    line_items = ItemIn(many=True, required=False, help_text="Defaults to one item of the subtotal.")
    idempotency_key = TextField(255, help_text="A repeated key returns the existing invoice.")
