"""One-off invoices in requests."""

from typing import Any, ClassVar

from rest_framework import serializers

from billing.api.fields import amount_field
from config.api.fields import MetadataField, MomentField, NumberIn, TextField
from config.api.unknown_names import Unused
from config.limits import MOST_ITEMS


class ItemIn(serializers.Serializer[Any]):
    """A line item: `quantity` × `unit_amount`, or an `amount`. A negative item is a credit."""

    unused: ClassVar[dict[str, Unused]] = {
        "metadata": Unused("Line items have no metadata. Use the invoice's metadata."),
        **dict.fromkeys(
            ("price_unit", "price_unit_amount"), Unused("Only amounts in the invoice's currency are supported.")
        ),
        **dict.fromkeys(
            (
                *("adjusted_entitlement_quantity", "commitment_info", "entity_id", "entity_type", "meter_id"),
                *("meter_display_name", "plan_display_name", "plan_id", "price_id", "subscription_id"),
                "subscription_line_item_id",
            ),
            Unused("Line items of one-off invoices belong to no price or subscription. Use display_name."),
        ),
        "price_type": Unused("Line items of one-off invoices are fixed amounts.", ("FIXED",)),
        **dict.fromkeys(
            ("invoice_level_discount", "line_item_discount", "prepaid_credits_applied"),
            Unused("Discounts and credit are calculated. Add a line item with a negative amount instead.", ("0",)),
        ),
    }

    display_name = TextField(512, required=True, allow_blank=False)
    quantity = NumberIn(max_digits=24, decimal_places=12, required=False, allow_null=True)
    unit_amount = NumberIn(max_digits=24, decimal_places=12, required=False, allow_null=True)
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
    """The fields to change: metadata until the invoice is void, the others while it is a draft."""

    unused: ClassVar[dict[str, Unused]] = {
        "apply_discount": Unused("Discounts are applied when the invoice is calculated.", (False,)),
        "invoice_pdf_url": Unused("The PDF is made here: GET /v1/invoices/{id}/pdf."),
    }

    due_date = MomentField(required=False, allow_null=True)
    description = TextField(2000)
    po_number = TextField(64, help_text="The number of the customer's purchase order, printed on the invoice.")
    line_items = ItemIn(  # type: ignore[call-arg]  # a list takes max_length
        many=True,
        required=False,
        max_length=MOST_ITEMS,
        help_text="On a one-off draft, all its items. On a subscription's draft, the extra lines in addition to the"
        " calculated ones; an empty list removes them.",
    )
    metadata = MetadataField(required=False)


class OneOffIn(InvoiceUpdate):
    """A one-off invoice. It is refused if its items don't amount to the totals that you expect."""

    unused: ClassVar[dict[str, Unused]] = {
        "amount_paid": Unused("Record the payment with POST /v1/payments.", ("0", "0.00")),
        "payment_status": Unused("Record the payment with POST /v1/payments.", ("PENDING",)),
        "billing_period": Unused("One-off invoices have no billing period. Use the line items' periods."),
        "billing_reason": Unused("The reason of a one-off invoice is MANUAL.", ("MANUAL",)),
        "checkout": Unused("There is no checkout. Record payments with POST /v1/payments."),
        **dict.fromkeys(
            ("invoice_coupons", "line_item_coupons"), Unused("Use coupons: they reduce the whole invoice.")
        ),
        "force_sync_invoice": Unused("Invoices aren't synchronized with other systems.", (False,)),
        "invoice_number": Unused("Invoices are numbered when they are finalized. Leave this field out."),
        "invoice_pdf_url": Unused("The PDF is made here: GET /v1/invoices/{id}/pdf."),
        "issue_date": Unused("An invoice is issued when it is finalized. Leave this field out."),
        "period_start": Unused("Use the line items' periods."),
        "period_end": Unused("Use the line items' periods."),
        "subscription_id": Unused("One-off invoices belong to a customer, not to a subscription."),
        "tax_rate_overrides": Unused("Use tax_rates."),
        "total_prepaid_applied": Unused("Prepaid credit is applied when the invoice is finalized.", ("0", "0.00")),
    }

    customer_id = serializers.CharField(max_length=64)
    currency = serializers.CharField(max_length=3)
    subtotal = amount_field(help_text="The total of the line items, before taxes.")
    total = amount_field(
        required=False, allow_null=True, help_text="The total with discounts and taxes, if you know it."
    )
    amount_due = amount_field(
        required=False, allow_null=True, help_text="Accepted but not checked, as prepaid credit may reduce the amount."
    )
    invoice_type = serializers.ChoiceField(["ONE_OFF", "CREDIT"], default="ONE_OFF")
    invoice_status = serializers.ChoiceField(["DRAFT", "FINALIZED"], default="DRAFT")
    line_items = ItemIn(  # type: ignore[call-arg]  # a list takes max_length
        many=True, required=False, max_length=MOST_ITEMS, help_text="Defaults to one item of the subtotal."
    )
    coupons = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=20,
        help_text="IDs or codes of coupons that reduce this invoice.",
    )
    tax_rates = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=20,
        help_text="IDs or codes of the tax rates to charge instead of the customer's taxes.",
    )
    idempotency_key = TextField(255, help_text="A repeated key returns the existing invoice.")
