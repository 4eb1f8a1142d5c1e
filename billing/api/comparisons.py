"""API views for why invoices differ: an invoice and the last one, and two months of a customer."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.invoices import TAG, invoice_of
from billing.api.month_ends import read_month
from billing.explanation.comparison.invoices import compare_invoices, compare_months, previous_invoice
from billing.explanation.comparison.values import Cause, Comparison
from billing.models import Invoice
from billing.money import money
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_query
from customers.api.customers import customer_of

ORDER = (
    "Causes are applied one after the other: usage, quantities and days at the old prices first, then the contract at "
    "the new usage. Each step is rounded as an invoice line is, so the parts add up to the difference exactly."
)


class ComparisonPartOut(serializers.Serializer[Any]):
    """One part of a difference: the charge concerned, and its values before and after, as texts for people."""

    name = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    amount = serializers.CharField()


class ComparisonCauseOut(serializers.Serializer[Any]):
    """What one cause adds to the total, and its parts."""

    cause = serializers.ChoiceField(Cause.choices)
    amount = serializers.CharField()
    parts = ComparisonPartOut(many=True)


class ComparisonOut(serializers.Serializer[Any]):
    """Two totals in one currency, their difference, and the causes, which add up to it."""

    currency = serializers.CharField()
    total_before = serializers.CharField()
    total_after = serializers.CharField()
    difference = serializers.CharField()
    causes = ComparisonCauseOut(many=True)


class InvoiceComparisonOut(serializers.Serializer[Any]):
    """Why an invoice differs from another one. Without another one, `comparison` is null."""

    invoice_id = serializers.CharField()
    compared_with = serializers.CharField(allow_null=True, help_text="The ID of the other invoice.")
    comparison = ComparisonOut(allow_null=True)


class CustomerMonthsOut(serializers.Serializer[Any]):
    """Why the invoices of two months differ, by currency."""

    customer_id = serializers.CharField()
    month = serializers.CharField()
    compared_with = serializers.CharField()
    items = ComparisonOut(many=True)


class InvoiceComparisonQuery(serializers.Serializer[Any]):
    """What to compare the invoice with."""

    compared_with = serializers.CharField(
        required=False,
        help_text="The ID of another invoice of the customer. By default, the last one of the subscription.",
    )


class CustomerMonthsQuery(serializers.Serializer[Any]):
    """The months to compare, such as 2026-09."""

    month = serializers.CharField(max_length=7)
    compared_with = serializers.CharField(max_length=7, required=False, help_text="By default, the month before.")


class InvoiceComparison(ApiView):
    """Explain why an invoice differs from the last one of its subscription, or from another one."""

    @operation(
        "getInvoiceComparison",
        "Explain why an invoice differs from the last",
        refusals="`compared_with` must be an invoice of the same customer, in the same currency.",
        tag=TAG,
        parameters=[InvoiceComparisonQuery],
        answers={200: InvoiceComparisonOut},
        errors=(400, 404),
        description=ORDER,
    )
    def get(self, request: Request, invoice_id: str) -> Response:
        invoice, other_id = invoice_of(invoice_id), read_query(request, InvoiceComparisonQuery).get("compared_with")
        other = previous_invoice(invoice)
        if other_id:
            other = get_or_404(Invoice.objects.all(), "invoice", public_id=other_id)
        body = {
            "invoice_id": invoice.public_id,
            "compared_with": other.public_id if other else None,
            "comparison": _body(compare_invoices(other, invoice)) if other else None,
        }
        return Response(InvoiceComparisonOut(body).data)


class CustomerMonths(ApiView):
    """Explain why the invoices of two months of a customer differ, by currency."""

    @operation(
        "getCustomerMonthComparison",
        "Explain why two months of a customer differ",
        tag=TAG,
        parameters=[CustomerMonthsQuery],
        answers={200: CustomerMonthsOut},
        errors=(400, 404),
        description=f"Invoices count in the month of issue, in their time zone, without drafts and void ones. {ORDER}",
    )
    def get(self, request: Request, customer_id: str) -> Response:
        customer, query = customer_of(customer_id), read_query(request, CustomerMonthsQuery)
        after = read_month(query["month"])
        before = read_month(query["compared_with"]) if query.get("compared_with") else after.previous
        body = {
            "customer_id": customer.public_id,
            "month": str(after),
            "compared_with": str(before),
            "items": [_body(row) for row in compare_months(customer, before.days, after.days)],
        }
        return Response(CustomerMonthsOut(body).data)


def _body(comparison: Comparison) -> dict[str, Any]:
    currency = comparison.currency
    return {
        "currency": currency,
        "total_before": money(comparison.before, currency),
        "total_after": money(comparison.after, currency),
        "difference": money(comparison.difference, currency),
        "causes": [
            {
                "cause": cause.value,
                "amount": money(amount, currency),
                "parts": [
                    {
                        "name": part.name,
                        "before": part.before,
                        "after": part.after,
                        "amount": money(part.amount, currency),
                    }
                    for part in parts
                ],
            }
            for cause, amount, parts in comparison.by_cause
        ],
    }
