"""Receivables by age: a row per customer and currency, each amount linked to its invoices."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from billing.admin.shared import amount_formatter, unapplied_url
from billing.models import Invoice
from billing.money import ZERO, format_amount
from billing.settlement.aging import BUCKETS, CURRENT, TITLES, AgingRow, read_row, sum_by_currency, sum_by_customer
from config.office.charts import Chart, ChartColor, Series
from config.office.files import MOST_ROWS, file_name, table_file
from config.office.pages import AdminPage

PER_PAGE = 100
AGE_COLORS = (ChartColor.GOOD, ChartColor.CAUTION, *[ChartColor.BAD] * (len(BUCKETS) - 2))
HEADINGS = ("Customer", "External customer ID", "Currency", *TITLES.values(), "Total", "Invoices", "Unapplied payments")


class AgingPage(AdminPage):
    """Show current receivables by age, or download all rows if `format` is csv or xlsx."""

    title = "Receivables"
    template_name = "admin/billing/aging.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        now = timezone.now()
        currency = request.GET.get("currency", "")
        customers = sum_by_customer(now)
        if currency:
            customers = customers.filter(currency=currency)
        if request.GET.get("format") in ("csv", "xlsx"):
            rows = (_file_row(read_row(customer)) for customer in customers[:MOST_ROWS])
            name = file_name("receivables by age")
            return table_file(HEADINGS, rows, name=name, file_format=request.GET["format"])
        sums = {code: ages for code, ages in sum_by_currency(now).items() if currency in ("", code)}
        page = Paginator(customers, PER_PAGE).get_page(request.GET.get("page"))
        return self.render(
            as_of=now,
            titles=list(TITLES.values()),
            rows=[customer_context(read_row(customer)) for customer in page],
            totals=[total_context(code, ages) for code, ages in sums.items()],
            charts=aging_charts(sums),
            refunds_due=Invoice.objects.to_refund().count(),
            page_obj=page,
            currency=currency,
            list_url=reverse("admin:billing_invoice_changelist"),
        )


def aging_charts(sums: dict[str, dict[str, Decimal]]) -> list[Chart]:
    """Return a chart per currency of the unpaid amounts by age. Each bar leads to its invoices."""
    invoices = reverse("admin:billing_invoice_changelist")
    return [
        Chart(
            title="Receivables by days since the due date",
            heading="Age",
            tab=currency,
            labels=[TITLES[bucket] for bucket in BUCKETS],
            series=[Series("Unpaid", [amounts[bucket] for bucket in BUCKETS], AGE_COLORS)],
            unit=currency,
            write=amount_formatter(currency),
            links=[f"{invoices}?currency__icontains={currency}&payment=age-{bucket}" for bucket in BUCKETS],
            is_horizontal=True,
        )
        for currency, amounts in sums.items()
    ]


def customer_context(row: AgingRow) -> dict[str, Any]:
    """Format a customer's amounts, each with a link to its invoices."""
    query = f"customer__id__exact={row.customer_id}&currency__icontains={row.currency}"
    return {
        "row": row,
        "url": reverse("admin:customers_customer_change", args=[row.customer_id]),
        "cells": list(_age_cells(row.amounts, row.currency, query)),
        "total": format_amount(row.total, row.currency),
        "total_url": f"{reverse('admin:billing_invoice_changelist')}?{query}&payment=open",
        "unapplied": format_amount(row.unapplied, row.currency) if row.unapplied else "",
        "unapplied_url": unapplied_url(customer=row.customer_id),
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
    return [row.name, row.external_id, row.currency, *amounts, row.total, row.invoices, row.unapplied]
