"""Month end in the admin: the report of a month, worked out by workers where it is large; the same as CSV and Excel."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from billing.admin.shared import sums
from billing.models import LineKind, MonthEndReport
from billing.money import format_amount
from billing.month_end import background
from billing.month_end.checklist import checklist
from billing.month_end.customer_ranges import customer_ranges, is_one_range
from billing.month_end.months import Month
from billing.month_end.report import BALANCE, HEADINGS, month_end, table_rows
from billing.month_end.revenue import CurrencyBooks, books
from billing.month_end.totals import ChunkTotals, calculate_all
from billing.month_end.usage import BILLED, STATUS_LABELS, UsageStatus
from billing.tasks import enqueue_month_ends
from config.office.dialogs import open_page
from config.office.files import table_file
from events.fixing.causes import total_at_risk

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the pages' addresses, under the invoice list's."""

    def one_view(request: HttpRequest) -> HttpResponseBase:
        return month_end_page(page, request)

    @require_POST
    def work_out_view(request: HttpRequest) -> HttpResponse:
        return work_out_anew(page, request)

    def progress_view(request: HttpRequest) -> HttpResponse:
        return progress(page, request)

    def at_risk_view(request: HttpRequest) -> HttpResponse:
        return at_risk(page, request)

    view = page.admin_site.admin_view
    return [
        path("month-end/", view(one_view), name="billing_month_end"),
        path("month-end/work-out/", view(work_out_view), name="billing_month_end_work_out"),
        path("month-end/progress/", view(progress_view), name="billing_month_end_progress"),
        path("month-end/at-risk/", view(at_risk_view), name="billing_month_end_at_risk"),
    ]


def month_end_page(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponseBase:
    """Show a month's report, the last one's unless `month` says 2026-09; `format` csv or xlsx answers a file.

    Of few customers all of it is worked out at once. Of more, where usage went and what is earned is what a worker
    found last, or in `report`; where none has looked yet, the page asks for it. For staff who may view invoices.
    """
    if not page.has_view_permission(request):
        raise PermissionDenied
    now, month = timezone.now(), _month(request)
    context = {**page.admin_site.each_context(request), "opts": page.opts}
    if month is None:
        context |= {"title": "Month end", "month": Month.before(now), "problem": "Write the month as 2026-09."}
        return TemplateResponse(request, "admin/billing/month_end/page.html", context)
    is_small, report = is_one_range(), None
    reports = [] if is_small else background.finished(month)
    if is_small:
        part: ChunkTotals | None = calculate_all(month, customer_ranges(), now=now)
    else:
        report = _chosen(request, reports)
        part = ChunkTotals.from_json(report.found) if report else None
    if part is not None and request.GET.get("format") in ("csv", "xlsx"):
        found = month_end(month, now=now, totals=part, as_of=report.as_of if report else now)
        return table_file(HEADINGS, table_rows(found), name=f"month-end-{month}", file_format=request.GET["format"])
    context |= {"title": f"Month end, {month.first:%B %Y}", "month": month, **_standing(month, now)}
    context["may_see_problems"] = request.user.has_perm("events.view_problem")
    if part is not None:
        context |= {"is_worked_out": True, **_found(part)}
    if not is_small:
        context |= _worked_out(month, report, now) | {"reports": reports if len(reports) > 1 else []}
    return TemplateResponse(request, "admin/billing/month_end/page.html", context)


def work_out_anew(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponse:
    """Have a worker work a month out, and show how far it is. While it is at it, a second call changes nothing.

    For staff who may view invoices: it writes nothing but the report.
    """
    if not page.has_view_permission(request):
        raise PermissionDenied
    month, by = _month(request), request.user
    if month is None:
        raise PermissionDenied
    background.start(month, now=timezone.now(), by=by)  # type: ignore[arg-type]  # staff
    enqueue_month_ends()
    if request.headers.get("HX-Request"):
        return progress(page, request)
    return open_page(request, _address(month), f"{month.first:%B %Y} is being worked out.")


def progress(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponse:
    """Answer with the progress of a month alone, which the page asks for every two seconds; once done, with the page.

    For staff who may view invoices.
    """
    if not page.has_view_permission(request):
        raise PermissionDenied
    month = _month(request)
    if month is None:
        raise PermissionDenied
    running = _running(month, timezone.now())
    if running is None:
        return HttpResponse(headers={"HX-Redirect": _address(month)})
    return render(request, "admin/billing/month_end/progress.html", {"month": month, "running": running})


def at_risk(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponse:
    """Answer with what open problems are worth, which the page asks for once it is there.

    For staff who may view invoices and problems.
    """
    if not page.has_view_permission(request) or not request.user.has_perm("events.view_problem"):
        raise PermissionDenied
    found = total_at_risk(now=timezone.now())
    context = {"at_risk": found, "money": sums(found.amounts.items())}
    return render(request, "admin/billing/month_end/at_risk.html", context)


def _month(request: HttpRequest) -> Month | None:
    """Read the month that is asked for, the last one unless it is named. `None` if it can't be read."""
    try:
        named = request.GET.get("month")
        return Month.named(named) if named else Month.before(timezone.now())
    except ValueError:
        return None


def _chosen(request: HttpRequest, reports: list[MonthEndReport]) -> MonthEndReport | None:
    """Pick the report that is named, else the newest."""
    named = request.GET.get("report", "")
    return next((each for each in reports if str(each.pk) == named), reports[0] if reports else None)


def _address(month: Month) -> str:
    return f"{reverse('admin:billing_month_end')}?month={month}"


def _worked_out(month: Month, report: MonthEndReport | None, now: datetime) -> dict[str, Any]:
    """Say of when a large month's figures are, and how far new ones are. Without any, they are asked for at once."""
    running = _running(month, now)
    return {
        "is_large": True,
        "report": report,
        "took": (report.finished_at - report.as_of).total_seconds() if report and report.finished_at else None,
        "running": running,
        "is_asked_for": report is None and running is None and month.period.start <= now,
    }


def _running(month: Month, now: datetime) -> dict[str, Any] | None:
    found = background.progress(month)
    if found is None:
        return None
    left = found.report.customers - found.done
    seconds = (now - found.report.as_of).total_seconds() * left / found.done if found.done else None
    return {"report": found.report, "done": found.done, "percent": found.percent, "seconds_left": seconds}


def _standing(month: Month, now: datetime) -> dict[str, Any]:
    return {
        "tasks": [(task, sums(task.money)) for task in checklist(month, now=now)],
        "books": [_books(one) for one in books(month)],
    }


def _found(part: ChunkTotals) -> dict[str, Any]:
    usage, accrual = part.usage, part.accrual
    return {
        "usage": [
            (row.feature, STATUS_LABELS[row.status], f"{row.events:,}", row.status in BILLED) for row in usage.rows
        ],
        "usage_totals": [
            (STATUS_LABELS[status], f"{events:,}", _tone(status)) for status, events in usage.totals().items()
        ],
        "counted": f"{usage.counted:,}",
        "difference": usage.difference,
        "accrual": [(row, f"{row.subscriptions:,}", format_amount(row.amount, row.currency)) for row in accrual.rows],
        "accrued": sums(accrual.totals().items()),
        "unrated": accrual.problems,
        "more_unrated": accrual.unrated - len(accrual.problems),
    }


def _tone(status: UsageStatus) -> str:
    return "ch-negative" if status >= UsageStatus.VOID else ""


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
