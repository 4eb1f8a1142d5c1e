"""The events behind each number of a reconciliation, read from the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

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

type Row = Outcome | UsageStatus

# These have lists of their own, because they aren't in the ledger.
ELSEWHERE = (Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.REFUSED, Outcome.WAITING)
ROWS: dict[str, Row] = {
    **{outcome.value: outcome for outcome in Outcome if outcome not in ELSEWHERE},
    **{status.name.lower(): status for status in UsageStatus},
}


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in a row of a reconciliation; if the row is of counted usage, with the feature it counts for."""

    event: LedgerEvent
    feature: Feature | None = None


def label_of(row: Row) -> str:
    return STATUS_LABELS[row] if isinstance(row, UsageStatus) else OUTCOME_LABELS[row]


def list_entries(
    month: Month, row: Row, *, now: datetime, customer: Customer | None = None, feature: Feature | None = None
) -> Iterator[Entry]:
    """Yield what a row of the month's reconciliation counts: an event, or an event once for each feature. Streams."""
    period = company_month(month, CompanyProfile.current().timezone)
    if isinstance(row, UsageStatus):
        yield from _of_usage(period, row, now, customer, feature)
    else:
        events = events_with(row, period, customer=customer, feature_id=feature.pk if feature else None)
        yield from (Entry(event) for event in events)


def _of_usage(
    period: Period, status: UsageStatus, now: datetime, customer: Customer | None, feature: Feature | None
) -> Iterator[Entry]:
    ranges = customer_ranges() if customer is None else [CustomerRange(customer.pk, customer.pk)]
    for customers in ranges:
        spans = spans_with(status, period, customers, now=now, feature_id=feature.pk if feature else None)
        features = Feature.objects.in_bulk({span.feature_id for span in spans})
        yield from (Entry(event, features[span.feature_id]) for span, event in list_events_in(spans))
