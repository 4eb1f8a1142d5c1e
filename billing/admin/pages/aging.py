"""Receivables by age: a row per customer and currency, each amount linked to its invoices."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from billing.models import Invoice
from billing.money import ZERO, format_amount
from billing.settlement.aging import BUCKETS, CURRENT, TITLES, AgingRow, read_row, sum_by_currency, sum_by_customer
from config.office.files import MOST_ROWS, table_file
from config.office.pages import AdminPage

PER_PAGE = 100
HEADINGS = ("Customer", "External ID", "Currency", *TITLES.values(), "Total", "Invoices")


class AgingPage(AdminPage):
    """Show current receivables by age, or download all rows if `format` is csv or xlsx."""

    title = "Receivables by age"
    template_name = "admin/billing/aging.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        now = timezone.now()
        currency = request.GET.get("currency", "")
        customers = sum_by_customer(now)
        if currency:
            customers = customers.filter(currency=currency)
        if request.GET.get("format") in ("csv", "xlsx"):
            rows = (_file_row(read_row(customer)) for customer in customers[:MOST_ROWS])
            return table_file(HEADINGS, rows, name="receivables-by-age", file_format=request.GET["format"])
        page = Paginator(customers, PER_PAGE).get_page(request.GET.get("page"))
        return self.render(
            as_of=now,
            titles=list(TITLES.values()),
            rows=[customer_context(read_row(customer)) for customer in page],
            totals=[total_context(code, ages) for code, ages in sum_by_currency(now).items() if currency in ("", code)],
            refunds_due=Invoice.objects.to_refund().count(),
            page_obj=page,
            currency=currency,
            list_url=reverse("admin:billing_invoice_changelist"),
        )


def customer_context(row: AgingRow) -> dict[str, Any]:
    """Format a customer's amounts, each with a link to its invoices."""
    query = f"customer__id__exact={row.customer_id}&currency__icontains={row.currency}"
    return {
        "row": row,
        "url": reverse("admin:customers_customer_change", args=[row.customer_id]),
        "cells": list(_age_cells(row.amounts, row.currency, query)),
        "total": format_amount(row.total, row.currency),
        "total_url": f"{reverse('admin:billing_invoice_changelist')}?{query}&payment=open",
    }


def total_context(currency: str, amounts: dict[str, Decimal]) -> dict[str, Any]:
    """Format the amounts of all customers in a currency, each with a link to its invoices."""
    query = f"currency__icontains={currency}"
    return {
        "currency": currency,
        "cells": list(_age_cells(amounts, currency, query)),
        "total": format_amount(sum(amounts.values(), ZERO), currency),
        "total_url": f"{reverse('admin:billing_invoice_changelist')}?{query}&payment=open",
    }


def _age_cells(amounts: dict[str, Decimal], currency: str, query: str) -> Iterator[tuple[str, str, bool]]:
    """Yield each age's formatted amount (empty if zero), the URL of its invoices, and whether they are overdue."""
    list_url = reverse("admin:billing_invoice_changelist")
    for bucket in BUCKETS:
        amount = amounts[bucket]
        text = format_amount(amount, currency) if amount else ""
        yield text, f"{list_url}?{query}&payment=age-{bucket}", bucket != CURRENT


def _file_row(row: AgingRow) -> list[Any]:
    amounts = (row.amounts[bucket] for bucket in BUCKETS)
    return [row.name, row.external_id, row.currency, *amounts, row.total, row.invoices]
