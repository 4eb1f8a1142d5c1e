"""Which invoiced periods of a subscription a moment's usage belongs to. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from customers.periods import Period, Schedule


def closed_periods(
    schedule: Schedule, started_at: datetime, billed_until: datetime, invoiced: Iterable[Period], since: datetime
) -> Iterator[Period]:
    """Give the periods billed by `billed_until` that end after a moment: those of invoices, and between them the
    billing periods, or parts of one, for which there was nothing to invoice."""
    covered = sorted((period for period in invoiced if period.end > since), key=lambda period: period.start)
    yield from covered
    at = max(schedule.boundary(schedule.index_at(max(since, started_at))), started_at)
    while at < billed_until:
        end = min(schedule.boundary(schedule.index_at(at) + 1), billed_until)
        yield from (gap for gap in _gaps(Period(at, end), covered) if gap.end > since)
        at = end


def _gaps(period: Period, covered: Iterable[Period]) -> Iterator[Period]:
    at = period.start
    for other in covered:
        if other.end <= at or other.start >= period.end:
            continue
        if at < other.start:
            yield Period(at, other.start)
        at = max(at, other.end)
    if at < period.end:
        yield Period(at, period.end)
