"""The month-end report: checklist, invoiced revenue, usage by billing status and unbilled revenue.

For few customers the whole report is calculated with the page. For many, workers calculate usage and unbilled revenue.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from billing.admin.shared import format_totals
from billing.models import LineKind, MonthClosing, MonthEndReport
from billing.money import format_amount
from billing.month_end import background
from billing.month_end.checklist import checklist
from billing.month_end.closing import (
    LaterChange,
    close_month,
    closed_rows,
    current_closing,
    list_later_changes,
    list_reopenings,
    reopen_month,
)
from billing.month_end.customer_ranges import customer_ranges, is_one_range
from billing.month_end.latest import latest_report
from billing.month_end.months import Month
from billing.month_end.report import BALANCE, HEADINGS, month_end, table_rows
from billing.month_end.revenue import CurrencyBooks, RevenueRow, books
from billing.month_end.totals import ChunkTotals, calculate_all
from billing.month_end.usage import BILLED, STATUS_LABELS
from billing.tasks import enqueue_month_ends
from config.numbers import number
from config.office.dialogs import open_page, staff
from config.office.files import file_name, table_file
from config.office.pages import AdminPage, AdminView, clean_text
from config.refusals import Refused
from events.fixing.causes import total_at_risk

CLOSE = "billing.close_monthclosing"


class MonthEndPage(AdminPage):
    """Show the report of `month` (2026-09), by default last month; download it if `format` is csv or xlsx.

    For many customers, `report` selects one of the calculated reports, by default the latest.
    """

    title = "Month end"
    template_name = "admin/billing/month_end/page.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        now, month = timezone.now(), read_month(request)
        if month is None:
            return self.render(month=Month.before(now), problem="Enter the month as 2026-09.")
        is_small = is_one_range()
        reports = [] if is_small else background.finished(month)
        report = select_report(request, reports)
        totals = None
        if is_small:
            totals = calculate_all(month, customer_ranges(), now=now)
        elif report is not None:
            totals = ChunkTotals.from_json(report.found)
        closing = current_closing(month)
        if closing is not None and "closed" in request.GET and request.GET.get("format") in ("csv", "xlsx"):
            return closed_file(closing, request.GET["format"])
        if totals is not None and request.GET.get("format") in ("csv", "xlsx"):
            as_of = report.as_of if report else now
            rows = table_rows(month_end(month, now=now, totals=totals, as_of=as_of))
            return table_file(HEADINGS, rows, name=f"month-end-{month}", file_format=request.GET["format"])
        context: dict[str, Any] = {} if totals is None else {"is_worked_out": True, **totals_context(totals)}
        if not is_small:
            context |= report_context(month, report, now)
        tasks = checklist(month, now=now)
        return self.render(
            title=f"{month.first:%B %Y}",
            month=month,
            file_query=urlencode({"month": str(month)} | ({"report": report.pk} if report else {})),
            **closing_context(closing, month, totals, now=now),
            reopenings=list_reopenings(month),
            may_close=request.user.has_perm(CLOSE),
            is_over=month.period.end <= now,
            open_tasks=sum(not task.is_done for task in tasks),
            tasks=[(task, format_totals(task.money)) for task in tasks],
            books=[books_context(currency_books) for currency_books in books(month)],
            may_see_problems=request.user.has_perm("events.view_problem"),
            reports=reports if len(reports) > 1 else [],
            **context,
        )


class MonthView(AdminView):
    """A view of the month in the URL's query."""

    month: Month

    def has_permission(self) -> bool:
        month = read_month(self.request)
        if month is None:
            return False
        self.month = month
        return super().has_permission()

    def show_progress(self) -> HttpResponse:
        """Show the progress of the calculation; once it has finished, reload the page."""
        progress = progress_context(self.month, timezone.now())
        if progress is None:
            return HttpResponse(headers={"HX-Redirect": month_url(self.month)})
        return self.render(month=self.month, running=progress)


class CloseMonth(MonthView):
    """Close the month with the figures of its report."""

    permission = CLOSE
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now = timezone.now()
        try:
            close_month(latest_report(self.month, now=now), now=now, by=staff(request))
        except Refused as refusal:
            return open_page(request, month_url(self.month), str(refusal), level=messages.ERROR)
        return open_page(request, month_url(self.month), f"{self.month.first:%B %Y} is closed.")


class ReopenMonth(MonthView):
    """Reopen the month, with a reason."""

    permission = CLOSE
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        reason = clean_text(request.POST.get("reason", ""))[:255]
        try:
            reopen_month(self.month, reason=reason, now=timezone.now(), by=staff(request))
        except Refused as refusal:
            return open_page(request, month_url(self.month), str(refusal), level=messages.ERROR)
        return open_page(request, month_url(self.month), f"{self.month.first:%B %Y} is open again.")


class Recalculate(MonthView):
    """Start a calculation of the month, unless one is running. It only writes the report."""

    template_name = "admin/billing/month_end/progress.html"
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        background.start(self.month, now=timezone.now(), by=staff(request))
        enqueue_month_ends()
        if request.headers.get("HX-Request"):
            return self.show_progress()
        return open_page(request, month_url(self.month), f"Calculating {self.month.first:%B %Y}.")


class ProgressPanel(MonthView):
    """Show the progress of the calculation. The page loads it every two seconds."""

    template_name = "admin/billing/month_end/progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show_progress()


class AtRiskAmount(AdminView):
    """Show the amount at risk from open problems. It takes longer than the page, which loads it afterwards.

    It is a POST, since it previews the fixes.
    """

    template_name = "admin/billing/month_end/at_risk.html"
    http_method_names = ("post",)

    def has_permission(self) -> bool:
        return super().has_permission() and self.request.user.has_perm("events.view_problem")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        at_risk = total_at_risk(now=timezone.now())
        return self.render(at_risk=at_risk, money=format_totals(at_risk.amounts.items()))


def read_month(request: HttpRequest) -> Month | None:
    """Read `month` from the URL, by default last month. Return `None` if it isn't a month."""
    name = request.GET.get("month")
    try:
        return Month.named(name) if name else Month.before(timezone.now())
    except ValueError:
        return None


def month_url(month: Month) -> str:
    return f"{reverse('admin:billing_month_end')}?month={month}"


def closing_context(
    closing: MonthClosing | None, month: Month, totals: ChunkTotals | None, *, now: datetime
) -> dict[str, Any]:
    """Describe a month's closing and the figures that changed since; None if they can't be compared yet."""
    if closing is None or totals is None:
        return {"closing": closing, "later_changes": None}
    changes = list_later_changes(closing, table_rows(month_end(month, now=now, totals=totals)))
    return {"closing": closing, "later_changes": [_change_cells(change) for change in changes]}


def _change_cells(change: LaterChange) -> tuple[LaterChange, str, str, str]:
    def text(amount: Decimal) -> str:
        return format_amount(amount, change.currency) if change.currency else number(amount)

    return change, text(change.before), text(change.after), text(change.difference)


def closed_file(closing: MonthClosing, file_format: str) -> HttpResponseBase:
    """Respond with the figures that were kept when the month was closed."""
    name = file_name(f"month end {closing.month:%Y-%m} as closed")
    return table_file(HEADINGS, closed_rows(closing), name=name, file_format=file_format)


def select_report(request: HttpRequest, reports: list[MonthEndReport]) -> MonthEndReport | None:
    """Return the report named in the URL, or the latest."""
    report_id = request.GET.get("report", "")
    latest = reports[0] if reports else None
    return next((report for report in reports if str(report.pk) == report_id), latest)


def report_context(month: Month, report: MonthEndReport | None, now: datetime) -> dict[str, Any]:
    """Describe the report calculated by workers. If there is none, the page starts a calculation."""
    progress = progress_context(month, now)
    took = (report.finished_at - report.as_of).total_seconds() if report and report.finished_at else None
    return {
        "is_large": True,
        "report": report,
        "took": took,
        "running": progress,
        "is_asked_for": report is None and progress is None and month.period.start <= now,
    }


def progress_context(month: Month, now: datetime) -> dict[str, Any] | None:
    """Describe the progress of the month's calculation, or return `None` if none is running."""
    progress = background.progress(month)
    if progress is None:
        return None
    remaining = progress.report.customers - progress.done
    elapsed = (now - progress.report.as_of).total_seconds()
    return {
        "report": progress.report,
        "done": progress.done,
        "percent": progress.percent,
        "seconds_left": elapsed * remaining / progress.done if progress.done else None,
    }


def totals_context(totals: ChunkTotals) -> dict[str, Any]:
    """Format usage by billing status, and unbilled revenue."""
    usage, accrual = totals.usage, totals.accrual
    return {
        "usage": [
            (row.feature, STATUS_LABELS[row.status], f"{row.events:,}", row.status in BILLED) for row in usage.rows
        ],
        "usage_totals": [
            (STATUS_LABELS[status], f"{events:,}", "ch-negative" if status.is_unbilled else "")
            for status, events in usage.totals().items()
        ],
        "counted": f"{usage.counted:,}",
        "difference": usage.difference,
        "accrual": [(row, f"{row.subscriptions:,}", format_amount(row.amount, row.currency)) for row in accrual.rows],
        "accrued": format_totals(accrual.totals().items()),
        "unrated": accrual.problems,
        "more_unrated": accrual.unrated - len(accrual.problems),
    }


def books_context(currency_books: CurrencyBooks) -> dict[str, Any]:
    """Format the revenue and the receivables of one currency."""
    currency = currency_books.currency
    return {
        "currency": currency,
        "rows": [_revenue_cells(row, currency) for row in currency_books.rows],
        "net": format_amount(currency_books.net, currency),
        "balance": [
            (label, format_amount(sign * getattr(currency_books, name), currency)) for label, name, sign in BALANCE
        ],
        "checks": currency_books.checks(),
    }


def _revenue_cells(row: RevenueRow, currency: str) -> tuple[str, ...]:
    def unless_zero(amount: Decimal) -> str:
        return format_amount(amount, currency) if amount else ""

    return (
        LineKind(row.kind).label,
        row.plan,
        row.feature,
        unless_zero(row.charged),
        unless_zero(-row.voided),
        unless_zero(-row.credited),
        format_amount(row.net, currency),
    )
