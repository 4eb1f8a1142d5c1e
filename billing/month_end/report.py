"""The whole month-end report, and as one table for files."""

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
from billing.month_end.usage import WORDS, UsageTable

HEADINGS = ("month", "section", "currency", "item", "plan", "feature", "events", "amount")
BALANCE = (
    ("Open at the start", "opening", 1),
    ("Invoiced", "invoiced", 1),
    ("Voided", "voided", -1),
    ("Credit notes", "credited", -1),
    ("Prepaid credit used", "prepaid", -1),
    ("Prepaid credit given back by voids", "prepaid_back", 1),
    ("Payments", "paid", -1),
    ("Open at the end", "closing", 1),
)


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """A month: what waits and its books as of now; where its usage went and what is earned as of when it was found."""

    month: Month
    tasks: Sequence[Task]
    books: Sequence[CurrencyBooks]
    usage: UsageTable
    accrual: Accrual
    as_of: datetime


def month_end(
    month: Month, *, now: datetime, found: ChunkTotals | None = None, as_of: datetime | None = None
) -> MonthEnd:
    """Put a month's report together from the rows as they are, and from what was found of its customers `as_of`.

    Without the latter, all of them are worked out here and now, stretch by stretch.
    """
    part = calculate_all(month, customer_ranges(), now=now) if found is None else found
    return MonthEnd(month, checklist(month, now=now), books(month), part.usage, part.accrual, as_of or now)


def table_rows(found: MonthEnd) -> Iterator[Sequence[Any]]:
    """Give the report row by row under HEADINGS: of when it is, revenue, balance, checks, usage, accrual."""
    name = str(found.month)
    yield name, "As of", "", f"{found.as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC: usage, accrual", "", "", None, None
    for one in found.books:
        yield from _books_rows(name, one)
    for used in found.usage.rows:
        yield name, "Usage", "", WORDS[used.went], "", used.feature.name, used.events, None
    yield name, "Check (0 agrees)", "", "Events counted = where they went", "", "", found.usage.difference, None
    yield from _accrual_rows(name, found.accrual)


def _books_rows(name: str, one: CurrencyBooks) -> Iterator[Sequence[Any]]:
    for row in one.rows:
        says = (LineKind(row.kind).label, row.plan, row.feature)
        for what, amount in (("Invoiced", row.charged), ("Voided", -row.voided), ("Credited", -row.credited)):
            if amount:
                yield name, what, one.currency, *says, None, round_amount(amount, one.currency)
    for label, column, sign in BALANCE:
        amount = round_amount(sign * getattr(one, column), one.currency)
        yield name, "Balance", one.currency, label, "", "", None, amount
    for check in one.checks():
        left = round_amount(check.left - check.right, one.currency)
        yield name, "Check (0 agrees)", one.currency, check.name, "", "", None, left


def _accrual_rows(name: str, accrual: Accrual) -> Iterator[Sequence[Any]]:
    for earned in accrual.rows:
        amount = round_amount(earned.amount, earned.currency)
        yield name, "Accrual", earned.currency, "Usage not billed", earned.plan, earned.feature, None, amount
    for public_id, problem in accrual.problems.items():
        yield name, "Not in the accrual", "", f"{public_id}: {problem}", "", "", None, None
    if more := accrual.unrated - len(accrual.problems):
        yield name, "Not in the accrual", "", f"{more:,} more subscriptions", "", "", None, None
