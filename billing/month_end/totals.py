"""Usage and accrual of a range of customers in a month. The totals of ranges add up, and can be saved as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from billing.money import ZERO
from billing.month_end.accrual import Accrual, Place, accrual, earned_by
from billing.month_end.customer_ranges import CustomerRange
from billing.month_end.months import Month
from billing.month_end.usage import Counts, UsageStatus, UsageTable, join_free_units, usage_of, usage_table

MOST_NAMED = 20  # subscriptions that can't be rated, with the reason


@dataclass(slots=True)
class ChunkTotals:
    """Usage by billing status, all events counted, unbilled revenue, and subscriptions that couldn't be rated.

    `problems` are the first twenty of these, by the subscription's public id; `unrated` counts all.
    """

    usage_counts: Counts = field(default_factory=dict)
    counted: int = 0
    earned: dict[Place, tuple[Decimal, int]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unrated: int = 0

    @property
    def usage(self) -> UsageTable:
        return usage_table(self.usage_counts, self.counted)

    @property
    def accrual(self) -> Accrual:
        return accrual(self.earned, self.problems, self.unrated)

    def add(self, other: "ChunkTotals") -> None:
        for key, events in other.usage_counts.items():
            self.usage_counts[key] = self.usage_counts.get(key, 0) + events
        self.counted += other.counted
        for place, (amount, subscriptions) in other.earned.items():
            before = self.earned.get(place, (ZERO, 0))
            self.earned[place] = (before[0] + amount, before[1] + subscriptions)
        for public_id, problem in other.problems.items():
            if len(self.problems) < MOST_NAMED:
                self.problems[public_id] = problem
        self.unrated += other.unrated

    def as_json(self) -> dict[str, Any]:
        return {
            "went": [[feature_id, int(status), events] for (feature_id, status), events in self.usage_counts.items()],
            "counted": self.counted,
            "earned": [[*place, str(amount), count] for place, (amount, count) in self.earned.items()],
            "problems": self.problems,
            "unrated": self.unrated,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Build the totals from what `as_json` returned."""
        return cls(
            {(feature_id, UsageStatus(status)): events for feature_id, status, events in data["went"]},
            data["counted"],
            {
                (currency, plan, feature): (Decimal(amount), count)
                for currency, plan, feature, amount, count in data["earned"]
            },
            data["problems"],
            data["unrated"],
        )


def compute_chunk(month: Month, customers: CustomerRange, *, now: datetime) -> ChunkTotals:
    """Calculate a month for a range of customers from the current rows. A fixed number of queries."""
    usage_counts, counted = usage_of(month.period, customers, now=now)
    earned = earned_by(month, customers)
    totals = ChunkTotals(unrated=len(earned.problems))
    totals.add(ChunkTotals(join_free_units(usage_counts), counted, earned.rows, earned.problems))
    return totals


def calculate_all(month: Month, ranges: Iterable[CustomerRange], *, now: datetime) -> ChunkTotals:
    """Calculate a month, one range of customers after the other."""
    totals = ChunkTotals()
    for customers in ranges:
        totals.add(compute_chunk(month, customers, now=now))
    return totals
