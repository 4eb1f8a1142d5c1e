"""Bodies of one-off invoices."""

from typing import Any

from rest_framework import serializers

from billing.api.serializers.credit_notes import amount_field
from config.api.fields import MetadataField, MomentField, TextField


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
