"""The whole month-end report, and as one table for files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.models import LineKind
from billing.money import round_amount
from billing.month_end.accrual import MOST_SUBSCRIPTIONS, Accrual, accrual
from billing.month_end.checklist import Task, checklist
from billing.month_end.months import Month
from billing.month_end.revenue import CurrencyBooks, books
from billing.month_end.usage import MOST_PAIRS, WORDS, UsageTable, usage_table

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
    """A month as of now."""

    month: Month
    tasks: Sequence[Task]
    books: Sequence[CurrencyBooks]
    usage: UsageTable
    accrual: Accrual


def month_end(month: Month, *, now: datetime, bounded: bool = True) -> MonthEnd:
    """Work a month's report out from the rows as they are. `TooMuch` for a month too large, unless not `bounded`."""
    return MonthEnd(
        month,
        checklist(month, now=now),
        books(month),
        usage_table(month, now=now, most=MOST_PAIRS if bounded else None),
        accrual(month, most=MOST_SUBSCRIPTIONS if bounded else None),
    )


def table_rows(found: MonthEnd) -> Iterator[Sequence[Any]]:
    """Give the report row by row under HEADINGS: revenue, balance, checks, usage, accrual."""
    name = str(found.month)
    for one in found.books:
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
    for used in found.usage.rows:
        yield name, "Usage", "", WORDS[used.went], "", used.feature.name, used.events, None
    yield name, "Check (0 agrees)", "", "Events counted = where they went", "", "", found.usage.difference, None
    for earned in found.accrual.rows:
        amount = round_amount(earned.amount, earned.currency)
        yield name, "Accrual", earned.currency, "Usage not billed", earned.plan, earned.feature, None, amount
