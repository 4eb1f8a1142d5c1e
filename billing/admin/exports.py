"""Invoices and their lines as CSV and Excel: numbers as numbers, one currency a column, ids as text."""

from typing import Any

from django.db.models import QuerySet
from import_export import fields, resources
from import_export.formats import base_formats

from billing.models import Invoice, InvoiceLine

FORMATS = [base_formats.CSV, base_formats.XLSX]


class InvoiceResource(resources.ModelResource):
    """One row an invoice."""

    external_id = fields.Field(attribute="customer__external_id", column_name="customer_external_id")
    customer_name = fields.Field(attribute="customer__name", column_name="customer")
    subscription_id = fields.Field(attribute="subscription__public_id", column_name="subscription")

    class Meta:
        model = Invoice
        name = "Invoices"
        fields = (
            "public_id", "number", "state", "kind", "external_id", "customer_name", "subscription_id", "currency",
            "period_start", "period_end", "subtotal", "discount_total", "tax_total", "total", "credits_applied",
            "amount_due", "amount_paid", "issued_at", "due_at", "finalized_at", "paid_at", "voided_at", "void_reason",
        )  # fmt: skip
        export_order = fields


class LineResource(resources.ModelResource):
    """One row a line of the chosen invoices, with what it was computed from."""

    invoice = fields.Field(attribute="invoice__public_id", column_name="invoice_id")
    number = fields.Field(attribute="invoice__number", column_name="invoice_number")
    customer = fields.Field(attribute="invoice__customer__external_id", column_name="customer_external_id")
    currency = fields.Field(attribute="invoice__currency", column_name="currency")
    feature_name = fields.Field(attribute="feature__name", column_name="feature")

    class Meta:
        model = InvoiceLine
        name = "Invoice lines"
        fields = (
            "invoice", "number", "customer", "position", "kind", "description", "feature_name", "period_start",
            "period_end", "quantity", "free_units", "billable_quantity", "unit_amount", "currency", "amount",
            "exact_amount", "events_count",
        )  # fmt: skip
        export_order = fields

    def export(self, queryset: QuerySet[Invoice] | None = None, **kwargs: Any) -> Any:
        invoices = Invoice.objects.all() if queryset is None else queryset
        lines = InvoiceLine.objects.filter(invoice__in=invoices.order_by().values("pk"))
        chosen = lines.select_related("invoice__customer", "feature").order_by("invoice_id", "position")
        return super().export(chosen, **kwargs)
