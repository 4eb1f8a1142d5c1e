"""The events behind each number of a reconciliation, read from the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.models import CompanyProfile
from billing.month_end.customer_ranges import CustomerRange, customer_ranges
from billing.month_end.months import Month
from billing.month_end.reconciliation import OUTCOME_LABELS, company_month
from billing.month_end.usage import STATUS_LABELS, UsageStatus, spans_with
from catalog.models import Feature
from customers.models import Customer
from customers.periods import Period
from events.overview.reconciliation import Outcome, events_with
from events.usage.contributing_events import LedgerEvent, list_events_in


class ReconciliationTotal(StrEnum):
    """A total of the reconciliation: all events received, and all events counted, once for each feature."""

    RECEIVED = "received"
    USAGE = "usage"


type Row = ReconciliationTotal | Outcome | UsageStatus

TOTAL_LABELS = {
    ReconciliationTotal.RECEIVED: "Events received",
    ReconciliationTotal.USAGE: "Events counted, once for each feature",
}
# These have lists of their own, because they aren't in the ledger.
ELSEWHERE = (Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.REFUSED, Outcome.WAITING)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in a row of a reconciliation; if the row is of counted usage, with the feature it counts for."""

    event: LedgerEvent
    feature: Feature | None = None


def row_name(row: Row) -> str | None:
    """Return the name that addresses give a row; None if its events aren't in the ledger."""
    if isinstance(row, UsageStatus):
        return row.name.lower()
    return None if row in ELSEWHERE else row.value


ALL_ROWS: tuple[Row, ...] = (*ReconciliationTotal, *Outcome, *UsageStatus)
ROWS: dict[str, Row] = {name: row for row in ALL_ROWS if (name := row_name(row)) is not None}


def label_of(row: Row) -> str:
    if isinstance(row, UsageStatus):
        return STATUS_LABELS[row]
    return TOTAL_LABELS[row] if isinstance(row, ReconciliationTotal) else OUTCOME_LABELS[row]


def list_entries(
    month: Month, row: Row, *, now: datetime, customer: Customer | None = None, feature: Feature | None = None
) -> Iterator[Entry]:
    """Yield what a row of the month's reconciliation counts: an event, or an event once for each feature. Streams.

    Of all events received, those of the ledger: the others have lists of their own.
    """
    period = company_month(month, CompanyProfile.current().timezone)
    if row == ReconciliationTotal.USAGE or isinstance(row, UsageStatus):
        status = row if isinstance(row, UsageStatus) else None
        yield from _of_usage(period, status, now, customer, feature)
    else:
        outcome = row if isinstance(row, Outcome) else None
        events = events_with(outcome, period, customer=customer, feature_id=feature.pk if feature else None)
        yield from (Entry(event) for event in events)


def _of_usage(
    period: Period, status: UsageStatus | None, now: datetime, customer: Customer | None, feature: Feature | None
) -> Iterator[Entry]:
    ranges = customer_ranges() if customer is None else [CustomerRange(customer.pk, customer.pk)]
    for customers in ranges:
        spans = spans_with(status, period, customers, now=now, feature_id=feature.pk if feature else None)
        features = Feature.objects.in_bulk({span.feature_id for span in spans})
        yield from (Entry(event, features[span.feature_id]) for span, event in list_events_in(spans))
