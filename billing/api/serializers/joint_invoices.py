"""Joint invoices in answers: their totals, and the invoices that are their sections."""

from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from rest_framework import serializers

from billing.api.fields import MoneyField
from billing.api.names import INVOICE_STATUSES, PAYMENT_STATUSES, status_in
from billing.models import Invoice, JointInvoice
from config.api.fields import ComputedChoice


class SectionOut(serializers.Serializer[Any]):
    """A section: the invoice of one subscription. Its lines are those of the invoice with this id."""

    invoice_id = serializers.CharField(source="public_id")
    invoice_number = serializers.CharField(source="number", allow_null=True)
    subscription_id = serializers.CharField(source="subscription.public_id")
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    total = MoneyField()
    amount_due = MoneyField()
    amount_remaining = MoneyField()


class JointInvoiceOut(serializers.Serializer[Any]):
    """One document for the invoices of several subscriptions. Its amounts are the sums of its sections."""

    id = serializers.CharField(source="public_id")
    invoice_number = serializers.CharField(source="number", allow_null=True, help_text="Null while it is a draft.")
    invoice_status = ComputedChoice(list(INVOICE_STATUSES))
    payment_status = ComputedChoice(list(PAYMENT_STATUSES))
    customer_id = serializers.CharField(source="customer.public_id", help_text="The customer who pays.")
    currency = serializers.CharField()
    period_end = serializers.DateTimeField(
        help_text="The moment at which the sections' periods end, or their fees in advance are due."
    )
    subtotal = MoneyField()
    total_discount = MoneyField(source="discount_total")
    total_tax = MoneyField(source="tax_total")
    total = MoneyField()
    total_prepaid_credits_applied = MoneyField(source="credits_applied")
    amount_due = MoneyField()
    amount_paid = MoneyField()
    amount_remaining = MoneyField(help_text="If negative, the amount to refund.")
    adjustment_amount = MoneyField(source="amount_credited", help_text="The total of its sections' credit notes.")
    due_date = serializers.DateTimeField(source="due_at", allow_null=True)
    finalized_at = serializers.DateTimeField(allow_null=True)
    replaces_id = serializers.CharField(source="replaces.public_id", default=None, allow_null=True)
    sections = SectionOut(source="parts", many=True)
    created_at = serializers.DateTimeField()

    def get_invoice_status(self, joint: JointInvoice) -> str:
        return status_in(INVOICE_STATUSES, joint.state)

    def get_payment_status(self, joint: JointInvoice) -> str:
        return status_in(PAYMENT_STATUSES, joint.state)


def joint_invoices() -> QuerySet[JointInvoice]:
    """Load joint invoices with their sections, newest first, without those that have none."""
    sections = Invoice.objects.select_related("subscription", "customer")
    has_sections = Exists(Invoice.objects.filter(joint=OuterRef("pk")))
    rows = JointInvoice.objects.select_related("customer", "replaces").filter(has_sections)
    return rows.prefetch_related(Prefetch("sections", sections)).order_by("-pk")
