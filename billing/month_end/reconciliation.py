"""The reconciliation of a month: received events by what became of them, and counted usage by what was billed of it.

Both halves add up to the event. Months are those of the company's time zone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from billing.models import CompanyProfile, MonthReconciliation
from billing.month_end.customer_ranges import CustomerRange, customer_ranges, is_one_range
from billing.month_end.months import Month
from billing.month_end.usage import STATUS_LABELS, Counts, UsageStatus, usage_of
from catalog.models import Feature
from customers.models import Customer
from customers.periods import Period, local_midnight
from events.overview.reconciliation import Outcome, received_events

OUTCOME_LABELS = {
    Outcome.COUNTED: "Counted",
    Outcome.PARTLY: "Counted for one feature, with a problem for another",
    Outcome.PROBLEM: "With an open problem",
    Outcome.VOIDED: "Voided",
    Outcome.DISMISSED: "Dismissed",
    Outcome.OTHER_FEATURE: "Not for this feature: another filter, or outside its time",
    Outcome.DUPLICATE: "Duplicates with the same content",
    Outcome.CONFLICT: "Conflicts: the ID of another event",
    Outcome.REFUSED: "Refused requests",
    Outcome.WAITING: "Waiting to be counted",
}
HEADINGS = ("month", "time zone", "part", "feature", "row", "events")


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A feature's counted events with a billing status."""

    feature: Feature
    status: UsageStatus
    events: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A month's received events by outcome, and its counted usage by billing status.

    An event that counts for two features is received once and counted twice, once for each.
    """

    month: Month
    timezone: str
    period: Period
    as_of: datetime
    received: int
    outcomes: dict[Outcome, int]
    usage: Sequence[UsageLine]
    counted: int
    is_of_feature: bool = False

    @property
    def unexplained(self) -> int:
        """Events without an outcome. Zero, unless rows were changed behind the product's back."""
        return self.received - sum(self.outcomes.values())

    @property
    def unassigned(self) -> int:
        """Counted events without a billing status. Zero, unless events were counted during the calculation."""
        return self.counted - sum(line.events for line in self.usage)

    @property
    def uncounted(self) -> int:
        """Events of the ledger that count for the feature and aren't in its stored usage. Zero without a feature."""
        counted = self.outcomes.get(Outcome.COUNTED, 0) - self.counted
        return counted if self.is_of_feature else 0

    @property
    def closes(self) -> bool:
        return not (self.unexplained or self.unassigned or self.uncounted)

    def totals(self) -> dict[UsageStatus, int]:
        """Add up the counted events by billing status."""
        totals: dict[UsageStatus, int] = defaultdict(int)
        for line in self.usage:
            totals[line.status] += line.events
        return dict(sorted(totals.items(), key=lambda item: item[0].strength))

    def as_json(self) -> dict[str, Any]:
        return {
            "timezone": self.timezone,
            "received": self.received,
            "outcomes": {str(outcome): events for outcome, events in self.outcomes.items()},
            "usage": [[line.feature.pk, int(line.status), line.events] for line in self.usage],
            "counted": self.counted,
        }

    def rows(self) -> Iterator[Sequence[Any]]:
        """Yield the statement under HEADINGS: received, by outcome, counted, by feature and billing status."""
        start = (str(self.month), self.timezone)
        yield *start, "Received", "", "All", self.received
        for outcome, events in self.outcomes.items():
            yield *start, "Received", "", OUTCOME_LABELS[outcome], events
        yield *start, "Received", "", "Not explained", self.unexplained
        yield *start, "Counted", "", "All, once for each feature", self.counted
        for line in self.usage:
            yield *start, "Counted", line.feature.name, STATUS_LABELS[line.status], line.events
        yield *start, "Counted", "", "Without a billing status", self.unassigned


def company_month(month: Month, timezone: str) -> Period:
    """Return the month in a time zone: November 2026 in Berlin begins on 31 October at 23:00 UTC."""
    return Period(local_midnight(month.first, timezone), local_midnight(month.next.first, timezone))


def month_of(now: datetime) -> Month:
    """Return the company's current month."""
    day: date = now.astimezone(CompanyProfile.current().zone).date()
    return Month(day.replace(day=1))


def save_reconciliation(statement: Reconciliation) -> None:
    """Keep the reconciliation of all customers, for companies too large to calculate it for a page."""
    defaults = {"as_of": statement.as_of, "figures": statement.as_json()}
    MonthReconciliation.objects.update_or_create(month=statement.month.first, defaults=defaults)


def latest_reconciliation(
    month: Month, *, now: datetime, customer: Customer | None = None, feature: Feature | None = None
) -> Reconciliation | None:
    """Return a month's reconciliation: calculated now for a small company, or for one customer.

    For a large company it is the one that the last proofs have kept; None if there is none, or for one feature.
    """
    if customer is not None or is_one_range():
        return reconcile_month(month, now=now, customer=customer, feature=feature)
    kept = MonthReconciliation.objects.filter(month=month.first).first() if feature is None else None
    return None if kept is None else _from_json(month, kept)


def _from_json(month: Month, kept: MonthReconciliation) -> Reconciliation:
    figures = kept.figures
    counts: Counts = {(pk, UsageStatus(status)): events for pk, status, events in figures["usage"]}
    return Reconciliation(
        month,
        figures["timezone"],
        company_month(month, figures["timezone"]),
        kept.as_of,
        figures["received"],
        {Outcome(name): events for name, events in figures["outcomes"].items()},
        _lines(counts),
        figures["counted"],
    )


def reconcile_month(
    month: Month, *, now: datetime, customer: Customer | None = None, feature: Feature | None = None
) -> Reconciliation:
    """Reconcile a month of all customers, or of one; of all features, or of one. One range of customers at a time."""
    timezone = CompanyProfile.current().timezone
    period = company_month(month, timezone)
    ranges = customer_ranges() if customer is None else [CustomerRange(customer.pk, customer.pk)]
    counts, counted = _count_usage(period, ranges, now, feature)
    received = received_events(period, customer=customer, feature_id=feature.pk if feature else None)
    return Reconciliation(
        month,
        timezone,
        period,
        now,
        received.received,
        {outcome: received.outcomes[outcome] for outcome in Outcome if received.outcomes.get(outcome)},
        _lines(counts),
        counted,
        is_of_feature=feature is not None,
    )


def _count_usage(
    period: Period, ranges: Iterable[CustomerRange], now: datetime, feature: Feature | None
) -> tuple[Counts, int]:
    counts: Counts = defaultdict(int)
    counted = 0
    for customers in ranges:
        range_counts, range_counted = usage_of(period, customers, now=now, feature_id=feature.pk if feature else None)
        counted += range_counted
        for key, events in range_counts.items():
            counts[key] += events
    return counts, counted


def _lines(counts: Counts) -> list[UsageLine]:
    features = Feature.objects.in_bulk({feature_id for feature_id, _ in counts})
    lines = [UsageLine(features[pk], status, events) for (pk, status), events in counts.items() if events]
    return sorted(lines, key=lambda line: (line.feature.name, line.feature.pk, line.status.strength))
