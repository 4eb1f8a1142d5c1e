"""The events that an invoice line counts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billing.explanation.proof import NotUsage, read_windows
from billing.models import InvoiceLine, LineKind
from catalog.models import Aggregation, Feature
from config.refusals import Refused
from customers.periods import Period
from events.usage.contributing_events import CountedEvent, events_behind, values_behind

MOST_EXPORTED = 1_000_000  # with a row of headings, this fits into an Excel sheet
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
COUNTED = (LineKind.USAGE, LineKind.LATE_USAGE)
EVENT_HEADINGS = ("event_id", "event_name", "occurred_at ({})", "received_at ({})", "value", "adds")
VALUE_HEADINGS = ("value", "window", "events", "first_at ({})", "last_at ({})")


class TooManyEvents(Refused):
    """The line counts more events than fit into a file. The message says what to do."""


def list_windows(line: InvoiceLine) -> list[Period]:
    """List the windows of a usage line's events. For late usage, those of its whole period, recalculated.

    Raises `NotUsage` for other lines.
    """
    if line.kind not in COUNTED or line.feature is None:
        raise NotUsage("Only usage lines have events.")
    return read_counted_windows(line.computation)


def read_counted_windows(computation: dict[str, Any]) -> list[Period]:
    """Read the windows from a usage line's computation. For late usage, those of its recalculated period."""
    if "again" not in computation:
        return read_windows(computation)
    return [window for line in computation["again"] for window in read_windows(line["computation"])]


def list_events(line: InvoiceLine, *, most: int, after: tuple[datetime, int] | None = None) -> Iterator[CountedEvent]:
    """Yield the events that a line counts, by time, at most `most`, those after `after`. Raises `NotUsage`."""
    windows = list_windows(line)
    return events_behind(line.invoice.usage_customer_id, _feature(line), windows, most=most, after=after)


def position_of(event: CountedEvent) -> str:
    """Write an event's position in its line, for the address of the next page."""
    return f"{(event.occurred_at - EPOCH) // MICROSECOND}-{event.id}"


def read_position(text: str) -> tuple[datetime, int] | None:
    """Read a position that `position_of` wrote; None for an empty text. Raises ValueError."""
    if not text:
        return None
    since, _, number = text.partition("-")
    try:
        at = EPOCH + int(since) * MICROSECOND
    except OverflowError as error:
        raise ValueError(text) from error
    if int(number).bit_length() > 63:
        raise ValueError(text)
    return at, int(number)


def build_event_table(line: InvoiceLine) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """Return the headings and rows of a line's events, with times in the invoice's time zone.

    For a unique count, the rows are its distinct values. Raises `NotUsage`, and `TooManyEvents` for more than
    MOST_EXPORTED.
    """
    windows, feature, zone = list_windows(line), _feature(line), line.invoice.timezone
    if (line.events_count or 0) > MOST_EXPORTED:
        raise TooManyEvents(
            f"This line counts {line.events_count:,} events, more than fit into a file. Use the API instead."
        )
    customer_id, timezone = line.invoice.usage_customer_id, ZoneInfo(zone)
    if feature.aggregation == Aggregation.UNIQUE_COUNT:
        values = values_behind(customer_id, feature, windows, most=MOST_EXPORTED)
        rows: Iterator[Sequence[Any]] = (
            (
                value.value,
                value.window,
                value.events,
                _to_local(value.first_at, timezone),
                _to_local(value.last_at, timezone),
            )
            for value in values
        )
        return [heading.format(zone) for heading in VALUE_HEADINGS], rows
    events = events_behind(customer_id, feature, windows, most=MOST_EXPORTED)
    rows = (
        (
            event.event_id,
            event.event_name,
            _to_local(event.occurred_at, timezone),
            _to_local(event.received_at, timezone),
            event.value,
            event.number,
        )
        for event in events
    )
    return [heading.format(zone) for heading in EVENT_HEADINGS], rows


def _to_local(moment: datetime, timezone: ZoneInfo) -> datetime:
    """Return the local time without its zone, which spreadsheets don't know; the headings name the zone."""
    return moment.astimezone(timezone).replace(tzinfo=None)


def _feature(line: InvoiceLine) -> Feature:
    if line.feature is None:
        raise NotUsage("The line has no feature.")
    return line.feature
