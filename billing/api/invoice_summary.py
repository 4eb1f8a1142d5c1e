"""API view for the totals of a customer's invoices by currency."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.kinds import USAGE_KINDS
from billing.models import Invoice, InvoiceLine, InvoiceState, LineKind
from billing.models.invoices import REMAINING
from billing.money import ZERO, money
from config.api.openapi import operation
from config.api.views import ApiView
from customers.api.customers import customer_of
from customers.models import Customer

ISSUED = (InvoiceState.FINALIZED, InvoiceState.PAID)
NO_CHARGES = (LineKind.DISCOUNT, LineKind.TAX)


class CurrencySummaryOut(serializers.Serializer[Any]):
    """The totals of a customer's finalized invoices in one currency. Drafts and void invoices aren't included."""

    customer_id = serializers.CharField()
    currency = serializers.CharField()
    total_revenue_amount = serializers.CharField(help_text="The totals of all finalized invoices.")
    total_unpaid_amount = serializers.CharField()
    total_overdue_amount = serializers.CharField()
    total_invoice_count = serializers.IntegerField()
    unpaid_invoice_count = serializers.IntegerField()
    overdue_invoice_count = serializers.IntegerField()
    unpaid_usage_charges = serializers.CharField(help_text="Usage on unpaid invoices, before discounts and taxes.")
    unpaid_fixed_charges = serializers.CharField(help_text="Other charges on unpaid invoices.")


class InvoiceSummaryOut(serializers.Serializer[Any]):
    """The totals of a customer's invoices by currency."""

    customer_id = serializers.CharField()
    default_currency = serializers.CharField()
    summaries = CurrencySummaryOut(many=True)


class CustomerInvoiceSummary(ApiView):
    """Retrieve the totals of a customer's invoices: revenue, unpaid and overdue amounts."""

    @operation(
        "getCustomerInvoiceSummary",
        "Retrieve a customer's invoice totals",
        tag="Invoices",
        answers={200: InvoiceSummaryOut},
        errors=(404,),
    )
    def get(self, request: Request, customer_id: str) -> Response:
        customer = customer_of(customer_id)
        body = {
            "customer_id": customer.public_id,
            "default_currency": customer.billing_currency,
            "summaries": summarize(customer, now=timezone.now()),
        }
        return Response(InvoiceSummaryOut(body).data)


def summarize(customer: Customer, *, now: datetime) -> list[dict[str, Any]]:
    """Add up a customer's finalized invoices by currency, in four queries."""
    totals, unpaid, overdue = _totals(customer), _unpaid(customer), _overdue(customer, now)
    charges = _charges(customer)
    return [
        {
            "customer_id": customer.public_id,
            "currency": currency,
            "total_revenue_amount": money(revenue, currency),
            "total_invoice_count": count,
            "total_unpaid_amount": money(unpaid.get(currency, (ZERO, 0))[0], currency),
            "unpaid_invoice_count": unpaid.get(currency, (ZERO, 0))[1],
            "total_overdue_amount": money(overdue.get(currency, (ZERO, 0))[0], currency),
            "overdue_invoice_count": overdue.get(currency, (ZERO, 0))[1],
            "unpaid_usage_charges": money(charges.get(currency, (ZERO, ZERO))[0], currency),
            "unpaid_fixed_charges": money(charges.get(currency, (ZERO, ZERO))[1], currency),
        }
        for currency, (revenue, count) in sorted(totals.items())
    ]


type Sums = dict[str, tuple[Decimal, int]]


def _totals(customer: Customer) -> Sums:
    return _by_currency(Invoice.objects.filter(customer=customer, state__in=ISSUED), "total")


def _unpaid(customer: Customer) -> Sums:
    return _by_currency(Invoice.objects.to_pay().filter(customer=customer), REMAINING)


def _overdue(customer: Customer, now: datetime) -> Sums:
    return _by_currency(Invoice.objects.overdue(now).filter(customer=customer), REMAINING)


def _by_currency(invoices: Any, amount: Any) -> Sums:
    rows = invoices.order_by().values_list("currency").annotate(amount=Sum(amount), count=Count("pk"))
    return {currency: (amount, count) for currency, amount, count in rows}


def _charges(customer: Customer) -> dict[str, tuple[Decimal, Decimal]]:
    """Add up the charges on unpaid invoices by currency: usage, and others."""
    unpaid = Invoice.objects.to_pay().filter(customer=customer)
    is_usage = Q(kind__in=USAGE_KINDS)
    lines = InvoiceLine.objects.filter(invoice__in=unpaid).exclude(kind__in=NO_CHARGES).order_by()
    rows = lines.values_list("invoice__currency").annotate(
        usage=Sum("amount", filter=is_usage, default=ZERO), fixed=Sum("amount", filter=~is_usage, default=ZERO)
    )
    return {currency: (usage, fixed) for currency, usage, fixed in rows}
