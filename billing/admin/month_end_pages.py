"""Month end in the admin: the report of a month, and the same as CSV and Excel."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from billing.admin.pages import sums
from billing.models import LineKind
from billing.money import format_amount
from billing.month_end.months import Month, TooMuch
from billing.month_end.report import BALANCE, HEADINGS, MonthEnd, month_end, table_rows
from billing.month_end.revenue import CurrencyBooks
from billing.month_end.usage import BILLED, WORDS, Went
from events.admin.exporting import table_file

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the page's address, under the invoice list's."""

    def one_view(request: HttpRequest) -> HttpResponseBase:
        return month_end_page(page, request)

    return [path("month-end/", page.admin_site.admin_view(one_view), name="billing_month_end")]


def month_end_page(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponseBase:
    """Show a month's report, the last one's unless `month` says 2026-09; `format` csv or xlsx answers a file.

    For staff who may view invoices.
    """
    if not page.has_view_permission(request):
        raise PermissionDenied
    now, problem, found = timezone.now(), "", None
    month = Month.before(now)
    try:
        month = Month.named(request.GET["month"]) if request.GET.get("month") else month
        found = month_end(month, now=now)
    except TooMuch as refused:
        problem = str(refused)
    except ValueError:
        problem = "Write the month as 2026-09."
    if found is not None and request.GET.get("format") in ("csv", "xlsx"):
        name = f"month-end-{month}"
        return table_file(HEADINGS, table_rows(found), name=name, file_format=request.GET["format"])
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Month end, {month.first:%B %Y}",
        "month": month,
        "problem": problem,
        **(_shown(found) if found is not None else {}),
    }
    return TemplateResponse(request, "admin/billing/month_end.html", context)


def _shown(found: MonthEnd) -> dict[str, Any]:
    return {
        "tasks": [(task, sums(task.money)) for task in found.tasks],
        "books": [_books(one) for one in found.books],
        "usage": [(row.feature, WORDS[row.went], f"{row.events:,}", row.went in BILLED) for row in found.usage.rows],
        "usage_totals": [(WORDS[went], f"{events:,}", _tone(went)) for went, events in found.usage.totals().items()],
        "counted": f"{found.usage.counted:,}",
        "difference": found.usage.difference,
        "accrual": [
            (row, f"{row.subscriptions:,}", format_amount(row.amount, row.currency)) for row in found.accrual.rows
        ],
        "accrued": sums(found.accrual.totals().items()),
        "unrated": found.accrual.problems,
    }


def _tone(went: Went) -> str:
    return "negative" if went >= Went.VOID else ""


def _books(one: CurrencyBooks) -> dict[str, Any]:
    def written(amount: Any) -> str:
        return format_amount(amount, one.currency) if amount else ""

    return {
        "currency": one.currency,
        "rows": [
            (LineKind(row.kind).label, row.plan, row.feature, written(row.charged), written(-row.voided),
             written(-row.credited), format_amount(row.net, one.currency))
            for row in one.rows
        ],
        "net": format_amount(one.net, one.currency),
        "balance": [(label, format_amount(sign * getattr(one, name), one.currency)) for label, name, sign in BALANCE],
        "checks": one.checks(),
    }  # fmt: skip
