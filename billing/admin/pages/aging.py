"""Receivables by age in the admin: a customer and currency a row, every number leading to its invoices."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from billing.models import Invoice
from billing.money import format_amount
from billing.settlement.aging import BUCKETS, TITLES, AgingRow, read_row, sum_by_currency, sum_by_customer
from config.office.files import MOST_ROWS, table_file

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin

PER_PAGE = 100
HEADINGS = ("Customer", "External id", "Currency", *TITLES.values(), "Total", "Invoices")


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the page's address, under the invoice list's."""

    def aging_view(request: HttpRequest) -> HttpResponseBase:
        return aging_page(page, request)

    return [path("aging/", page.admin_site.admin_view(aging_view), name="billing_aging")]


def aging_page(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponseBase:
    """Show what is owed as of now, by age; as `format` csv or xlsx, a file of all rows. For staff who view invoices."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    now = timezone.now()
    found = sum_by_customer(now)
    if currency := request.GET.get("currency", ""):
        found = found.filter(currency=currency)
    if request.GET.get("format") in ("csv", "xlsx"):
        table = (_cells(read_row(each)) for each in found[:MOST_ROWS])
        return table_file(HEADINGS, table, name="receivables-by-age", file_format=request.GET["format"])
    paginator = Paginator(found, PER_PAGE)
    chosen = paginator.get_page(request.GET.get("page"))
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "Receivables by age",
        "as_of": now,
        "titles": list(TITLES.values()),
        "rows": [_shown(read_row(each)) for each in chosen],
        "totals": [_total(code, ages) for code, ages in sum_by_currency(now).items() if currency in ("", code)],
        "refunds_due": Invoice.objects.to_refund().count(),
        "page_obj": chosen,
        "currency": currency,
        "list_url": reverse("admin:billing_invoice_changelist"),
    }
    return TemplateResponse(request, "admin/billing/aging.html", context)


def _cells(row: AgingRow) -> list[Any]:
    return [
        row.name,
        row.external_id,
        row.currency,
        *(row.amounts[bucket] for bucket in BUCKETS),
        row.total,
        row.invoices,
    ]


def _shown(row: AgingRow) -> dict[str, Any]:
    where = f"customer__id__exact={row.customer_id}&currency__icontains={row.currency}"
    return {
        "row": row,
        "url": reverse("admin:customers_customer_change", args=[row.customer_id]),
        "cells": list(_links(row.amounts, row.currency, where)),
        "total": format_amount(row.total, row.currency),
        "total_url": f"{reverse('admin:billing_invoice_changelist')}?{where}&payment=open",
    }


def _total(currency: str, ages: dict[str, Decimal]) -> dict[str, Any]:
    where = f"currency__icontains={currency}"
    return {
        "currency": currency,
        "cells": list(_links(ages, currency, where)),
        "total": format_amount(sum(ages.values(), Decimal(0)), currency),
        "total_url": f"{reverse('admin:billing_invoice_changelist')}?{where}&payment=open",
    }


def _links(amounts: dict[str, Decimal], currency: str, where: str) -> Iterator[tuple[str, str, bool]]:
    """Give each age's amount as written, where its invoices are, and whether it is overdue; empty for nothing."""
    address = reverse("admin:billing_invoice_changelist")
    for bucket in BUCKETS:
        amount = amounts[bucket]
        text = format_amount(amount, currency) if amount else ""
        yield text, f"{address}?{where}&payment=age-{bucket}", bucket != BUCKETS[0]
