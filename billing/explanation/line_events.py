"""The events behind an invoice line: exactly those that were counted in its windows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.explanation.proof import NotUsage, spans_recorded
from billing.explanation.text import timezone_of
from billing.models import InvoiceLine, LineKind
from catalog.models import Aggregation, Feature
from config.refusals import Refused
from customers.periods import Period
from events.usage.contributing_events import CountedEvent, events_behind, values_behind

MOST_EXPORTED = 1_000_000  # with a line of headings, what an Excel sheet can hold
COUNTED = (LineKind.USAGE, LineKind.LATE_USAGE)
EVENT_HEADINGS = ("event_id", "event_name", "occurred_at ({})", "received_at ({})", "value", "adds")
VALUE_HEADINGS = ("value", "window", "events", "first_at ({})", "last_at ({})")


class TooManyEvents(Refused):
    """The line counts more events than a file holds. The message says what to do."""


def windows_of(line: InvoiceLine) -> list[Period]:
    """List the windows that a usage line was counted in; of late usage, those of its period's usage as it is with it.

    Raises `NotUsage` for other lines.
    """
    if line.kind not in COUNTED or line.feature is None:
        raise NotUsage("Only usage lines are counted from events.")
    return recorded_windows(line.computation)


def recorded_windows(how: dict[str, Any]) -> list[Period]:
    """List the windows that a usage line's computation recorded; of late usage, those of its period."""
    parts = [again["computation"] for again in how["again"]] if "again" in how else [how]
    return [span for part in parts for span in spans_recorded(part)]


def events_of(line: InvoiceLine, *, most: int, after: tuple[datetime, int] | None = None) -> Iterator[CountedEvent]:
    """Give the events that a line counts, by time, at most `most`, from behind a place on. Raises `NotUsage`."""
    windows = windows_of(line)
    return events_behind(line.invoice.customer_id, _feature(line), windows, most=most, after=after)


def table_of(line: InvoiceLine) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """Give a line's events as a table, headings first, moments in the invoice's time zone; of a unique count, its
    distinct values.

    Raises `NotUsage`, and `TooManyEvents` for more than MOST_EXPORTED.
    """
    windows, feature, zone = windows_of(line), _feature(line), timezone_of(line.invoice)
    if (line.events_count or 0) > MOST_EXPORTED:
        raise TooManyEvents(
            f"This line counts {line.events_count:,} events, more than a file holds. Use the API's pages."
        )
    customer_id, at = line.invoice.customer_id, _local(zone)
    if feature.aggregation == Aggregation.UNIQUE_COUNT:
        values = values_behind(customer_id, feature, windows, most=MOST_EXPORTED)
        rows: Iterator[Sequence[Any]] = (
            (one.value, one.window, one.events, at(one.first_at), at(one.last_at)) for one in values
        )
        return [heading.format(zone) for heading in VALUE_HEADINGS], rows
    found = events_behind(customer_id, feature, windows, most=MOST_EXPORTED)
    rows = (
        (one.event_id, one.event_name, at(one.occurred_at), at(one.received_at), one.value, one.number) for one in found
    )
    return [heading.format(zone) for heading in EVENT_HEADINGS], rows


def _local(zone: str) -> Any:
    info = ZoneInfo(zone)
    return lambda moment: moment.astimezone(info).replace(tzinfo=None)


def _feature(line: InvoiceLine) -> Feature:
    if line.feature is None:
        raise NotUsage("The line has no feature.")
    return line.feature
