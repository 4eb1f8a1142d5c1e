"""The month-end report, and the report as one table for files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.models import LineKind
from billing.money import round_amount
from billing.month_end.accrual import Accrual
from billing.month_end.checklist import Task, checklist
from billing.month_end.customer_ranges import customer_ranges
from billing.month_end.months import Month
from billing.month_end.revenue import CurrencyBooks, books
from billing.month_end.totals import ChunkTotals, calculate_all
from billing.month_end.usage import STATUS_LABELS, UsageTable

HEADINGS = ("month", "section", "currency", "item", "plan", "feature", "events", "amount")
AS_OF = "As of"
BALANCE = (
    ("Open at the start", "opening", 1),
    ("Invoiced", "invoiced", 1),
    ("Voided", "voided", -1),
    ("Credit notes", "credited", -1),
    ("Prepaid credit used", "prepaid", -1),
    ("Prepaid credit returned by voids", "prepaid_back", 1),
    ("Payments", "paid", -1),
    ("Write-offs and bank charges", "adjusted", -1),
    ("Open at the end", "closing", 1),
)


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """A month: current tasks and books, usage and accrual as of the moment they were calculated."""

    month: Month
    tasks: Sequence[Task]
    books: Sequence[CurrencyBooks]
    usage: UsageTable
    accrual: Accrual
    as_of: datetime


def month_end(
    month: Month, *, now: datetime, totals: ChunkTotals | None = None, as_of: datetime | None = None
) -> MonthEnd:
    """Build a month's report from the current rows, and from the totals of its customers as of a moment.

    Without totals, all customers are calculated now, one range after the other.
    """
    totals = calculate_all(month, customer_ranges(), now=now) if totals is None else totals
    return MonthEnd(month, checklist(month, now=now), books(month), totals.usage, totals.accrual, as_of or now)


def table_rows(report: MonthEnd) -> Iterator[Sequence[Any]]:
    """Yield the report's rows under HEADINGS: its moment, revenue, balance, checks, usage, accrual."""
    name = str(report.month)
    yield name, AS_OF, "", f"{report.as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC: usage, accrual", "", "", None, None
    for currency_books in report.books:
        yield from _books_rows(name, currency_books)
    for used in report.usage.rows:
        yield name, "Usage", "", STATUS_LABELS[used.status], "", used.feature.name, used.events, None
    yield name, "Check (0 agrees)", "", "Events counted = events by status", "", "", report.usage.difference, None
    yield from _accrual_rows(name, report.accrual)


def _books_rows(name: str, currency_books: CurrencyBooks) -> Iterator[Sequence[Any]]:
    currency = currency_books.currency
    for row in currency_books.rows:
        item = (LineKind(row.kind).label, row.plan, row.feature)
        for section, amount in (("Invoiced", row.charged), ("Voided", -row.voided), ("Credited", -row.credited)):
            if amount:
                yield name, section, currency, *item, None, round_amount(amount, currency)
    for label, column, sign in BALANCE:
        amount = round_amount(sign * getattr(currency_books, column), currency)
        yield name, "Balance", currency, label, "", "", None, amount
    for check in currency_books.checks():
        difference = round_amount(check.left - check.right, currency)
        yield name, "Check (0 agrees)", currency, check.name, "", "", None, difference


def _accrual_rows(name: str, accrual: Accrual) -> Iterator[Sequence[Any]]:
    for earned in accrual.rows:
        amount = round_amount(earned.amount, earned.currency)
        yield name, "Accrual", earned.currency, "Usage not billed", earned.plan, earned.feature, None, amount
    for public_id, problem in accrual.problems.items():
        yield name, "Not in the accrual", "", f"{public_id}: {problem}", "", "", None, None
    if more := accrual.unrated - len(accrual.problems):
        yield name, "Not in the accrual", "", f"{more:,} more subscriptions", "", "", None, None
