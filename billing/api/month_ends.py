"""API views for the month-end report, and for closing a month, reopening it, and listing what changed since."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.month_ends import MonthClosingOut, MonthEndOut, MonthOut, ReopenIn
from billing.money import money
from billing.month_end import background
from billing.month_end.checklist import Task, checklist
from billing.month_end.closing import close_month, current_closing, list_later_changes, reopen_month
from billing.month_end.latest import latest_report, latest_totals
from billing.month_end.months import Month
from billing.month_end.report import BALANCE, table_rows
from billing.month_end.revenue import CurrencyBooks, books
from billing.month_end.totals import ChunkTotals
from billing.tasks import enqueue_month_ends
from config.api.openapi import operation
from config.api.views import ApiView, read_body

TAG = "Month end"
WRITE = "billing:write"


def read_month(name: str) -> Month:
    try:
        return Month.named(name)
    except ValueError as error:
        raise NotFound(f"There is no month “{name}”. Use the form 2026-09.") from error


class MonthEnd(ApiView):
    """Retrieve the month-end report. For many customers, its totals are calculated in the background."""

    @operation("getMonthEnd", "Retrieve a month-end report", tag=TAG, answers={200: MonthEndOut}, errors=(404,))
    def get(self, request: Request, month: str) -> Response:
        return Response(MonthEndOut(report_of(read_month(month), timezone.now())).data)


class MonthEndCalculation(ApiView):
    """Calculate a month's usage and unbilled revenue in the background, for many customers."""

    write_scope = WRITE

    @operation("calculateMonthEnd", "Calculate a month-end report", tag=TAG, answers={202: MonthEndOut}, errors=(404,))
    def post(self, request: Request, month: str) -> Response:
        chosen, now = read_month(month), timezone.now()
        background.start(chosen, now=now, by=None)
        enqueue_month_ends()
        return Response(MonthEndOut(report_of(chosen, now)).data, status=202)


class OneMonth(ApiView):
    """Retrieve whether a month is closed, who closed it and when, and the figures that changed since."""

    @operation("getMonth", "Retrieve a month", tag=TAG, answers={200: MonthOut}, errors=(400, 404))
    def get(self, request: Request, month: str) -> Response:
        return _month(read_month(month), now=timezone.now())


class MonthClose(ApiView):
    """Close a month: the figures of its month-end report are kept. A closed month keeps its first figures."""

    write_scope = WRITE

    @operation("closeMonth", "Close a month", tag=TAG, answers={200: MonthClosingOut}, errors=(400, 404))
    def post(self, request: Request, month: str) -> Response:
        now = timezone.now()
        closing = close_month(latest_report(read_month(month), now=now), now=now, by=None)
        return Response(MonthClosingOut(closing).data)


class MonthReopening(ApiView):
    """Reopen a closed month. Its kept figures stay in the record."""

    write_scope = WRITE

    @operation(
        "reopenMonth",
        "Reopen a month",
        tag=TAG,
        body=ReopenIn,
        answers={200: MonthClosingOut},
        errors=(400, 404),
        example={"reason": "A payment of September was missing"},
    )
    def post(self, request: Request, month: str) -> Response:
        reason = read_body(request, ReopenIn)["reason"]
        closing = reopen_month(read_month(month), reason=reason, now=timezone.now(), by=None)
        return Response(MonthClosingOut(closing).data)


def _month(month: Month, *, now: datetime) -> Response:
    closing = current_closing(month)
    changes = list_later_changes(closing, table_rows(latest_report(month, now=now))) if closing else []
    body = {"month": str(month), "is_closed": closing is not None, "closing": closing, "later_changes": changes}
    return Response(MonthOut(body).data)


def report_of(month: Month, now: datetime) -> dict[str, Any]:
    totals, as_of = latest_totals(month, now=now)
    return {
        "month": str(month),
        "tasks": [_task(task) for task in checklist(month, now=now)],
        "books": [_books(currency_books) for currency_books in books(month)],
        "totals": _totals(totals, as_of) if totals else None,
        "running": background.progress(month),
    }


def _task(task: Task) -> dict[str, Any]:
    amounts = [{"currency": currency, "amount": money(amount, currency)} for currency, amount in task.money]
    return {"name": task.name, "count": task.count, "is_done": task.is_done, "hint": task.hint, "amounts": amounts}


def _books(currency_books: CurrencyBooks) -> dict[str, Any]:
    code = currency_books.currency
    return {
        "currency": code,
        "revenue": [
            {"kind": row.kind, "plan": row.plan, "feature": row.feature}
            | {name: money(getattr(row, name), code) for name in ("charged", "voided", "credited", "net")}
            for row in currency_books.rows
        ],
        "net": money(currency_books.net, code),
        "balance": {name: money(getattr(currency_books, name), code) for _, name, _ in BALANCE},
        "checks": [
            {"name": check.name, "left": money(check.left, code), "right": money(check.right, code)}
            | {"agrees": check.agrees}
            for check in currency_books.checks()
        ],
    }


def _totals(totals: ChunkTotals, as_of: datetime) -> dict[str, Any]:
    usage, accrual = totals.usage, totals.accrual
    return {
        "as_of": as_of,
        "usage": usage.rows,
        "events_counted": usage.counted,
        "difference": usage.difference,
        "unbilled_revenue": accrual.rows,
        "unrated": accrual.unrated,
        "problems": accrual.problems,
    }
