"""Close a month: its figures are kept as they were, and what changes about them later is listed. Reopen it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import MonthClosing
from billing.money import ZERO
from billing.month_end.months import Month
from billing.month_end.report import AS_OF, MonthEnd, table_rows
from billing.notifications import notify_month
from billing.refusals import CannotChange
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent

type Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LaterChange:
    """A figure that isn't what it was when the month was closed: an amount, or a number of events."""

    section: str
    currency: str
    item: str
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return self.after - self.before


def current_closing(month: Month) -> MonthClosing | None:
    """Return the closing of a month, or None if the month is open."""
    closings = MonthClosing.objects.filter(month=month.first, reopened_at=None)
    return closings.select_related("closed_by").first()


def list_reopenings(month: Month) -> list[MonthClosing]:
    """Return the closings of a month that were undone, the latest first."""
    closings = MonthClosing.objects.filter(month=month.first, reopened_at__isnull=False)
    return list(closings.select_related("closed_by", "reopened_by").defer("figures").order_by("-pk"))


def close_month(report: MonthEnd, *, now: datetime, by: User | None) -> MonthClosing:
    """Close a month with the figures of its report. A month that is closed already keeps its first figures.

    Raises `CannotChange` until the month has ended (UTC). Open tasks don't prevent closing: they are in the checklist.
    """
    month = report.month
    if now < month.period.end:
        raise CannotChange(f"{month.first:%B %Y} ends on {month.last:%Y-%m-%d} at midnight UTC. Close it after that.")
    with transaction.atomic(), recorded(by=by):
        closing, is_new = MonthClosing.objects.get_or_create(
            month=month.first,
            reopened_at=None,
            defaults={"closed_at": now, "closed_by": by, "figures": freeze(table_rows(report))},
        )
        if is_new:
            notify_month(WebhookEvent.MONTH_CLOSED, closing, now=now)
    return closing


def reopen_month(month: Month, *, reason: str, now: datetime, by: User | None) -> MonthClosing:
    """Reopen a closed month; its kept figures stay in the record. Raises `CannotChange`, `ReasonRequired`."""
    if not reason.strip():
        raise ReasonRequired("Enter a reason for reopening the month.")
    with transaction.atomic(), recorded(by=by, reason=reason.strip()):
        closing = MonthClosing.objects.select_for_update().filter(month=month.first, reopened_at=None).first()
        if closing is None:
            raise CannotChange(f"{month.first:%B %Y} isn't closed.")
        closing.reopened_at, closing.reopened_by, closing.reopen_reason = now, by, reason.strip()
        closing.save(update_fields=["reopened_at", "reopened_by", "reopen_reason"])
        notify_month(WebhookEvent.MONTH_REOPENED, closing, now=now)
    return closing


def freeze(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return the report's rows as JSON keeps them: numbers as texts with all their decimals."""
    return [[_plain(value) for value in row] for row in rows]


def list_later_changes(closing: MonthClosing, rows: Iterable[Sequence[Any]]) -> list[LaterChange]:
    """List the figures that differ between a closing and the report's current rows, in the report's order."""
    before, after = _figures(closing.figures), _figures(freeze(rows))
    return [
        LaterChange(key[0], key[1], " · ".join(part for part in key[2:] if part), *amounts)
        for key in dict.fromkeys([*before, *after])
        if (amounts := (before.get(key, ZERO), after.get(key, ZERO)))[0] != amounts[1]
    ]


def closed_rows(closing: MonthClosing) -> list[list[Any]]:
    """Return the rows of the report as it was when the month was closed, for a file."""
    return [[*names, events, None if amount is None else Decimal(amount)] for *names, events, amount in closing.figures]


def _figures(rows: Iterable[Sequence[Any]]) -> dict[Key, Decimal]:
    """Return the rows' figures by section, currency, item, plan and feature; without the moment of the report."""
    figures: dict[Key, Decimal] = {}
    for _, *names, events, amount in rows:
        figure = events if amount is None else amount
        if names[0] != AS_OF and figure is not None:
            key = tuple(str(name or "") for name in names)
            figures[key] = figures.get(key, ZERO) + Decimal(figure)
    return figures


def _plain(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value
