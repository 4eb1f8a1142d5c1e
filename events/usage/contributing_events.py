"""What usage was counted from: the single events in given windows, and their distinct values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from catalog.models import Feature
from customers.periods import Period
from events.sql import compose, counted, sections
from events.usage.meter import BEGINNING

COLUMNS = "edge.no, event.event_name, event.received_at, event_text(reading.value) AS value,"


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """An event that counts for a feature: `value` is the field as sent, `number` what it adds, None for neither."""

    occurred_at: datetime
    id: int
    event_id: str
    event_name: str
    received_at: datetime
    value: str | None
    number: Decimal | None


@dataclass(frozen=True, slots=True)
class DistinctValue:
    """A value that counts once in its window, by its place; how many events carried it, the first and the last."""

    window: int
    value: str
    events: int
    first_at: datetime
    last_at: datetime


def events_behind(
    customer_id: int,
    feature: Feature,
    windows: Sequence[Period],
    *,
    most: int,
    after: tuple[datetime, int] | None = None,
) -> Iterator[CountedEvent]:
    """Give the events that count for a customer's feature in windows, by time and then arrival, at most `most`.

    By the definition that usage is counted by. `after` is the last one's (occurred_at, id), to go on behind it. A
    cumulative feature counts from the beginning to the last window's end. Read as a stream, so memory stays flat.
    """
    place = after or (BEGINNING, 0)
    parameters = _parameters(customer_id, feature, windows, since=place[0])
    parameters |= {"after_at": place[0], "after_id": place[1], "most": most}
    return (CountedEvent(*row) for row in _rows("behind", parameters))


def values_behind(
    customer_id: int, feature: Feature, windows: Sequence[Period], *, most: int
) -> Iterator[DistinctValue]:
    """Give the distinct values that count for a customer's feature in each window, the earliest first."""
    parameters = _parameters(customer_id, feature, windows, since=BEGINNING) | {"most": most}
    return (DistinctValue(*row) for row in _rows("values_behind", parameters))


def _parameters(customer_id: int, feature: Feature, windows: Sequence[Period], *, since: datetime) -> dict[str, Any]:
    """Give the windows as arrays, without what lies before a moment."""
    if feature.is_cumulative and windows:
        windows = [Period(BEGINNING, windows[-1].end)]
    left = [(no, max(window.start, since), window.end) for no, window in enumerate(windows, 1) if window.end > since]
    return {
        "edge_no": [no for no, _, _ in left],
        "edge_customer": [customer_id] * len(left),
        "edge_feature": [feature.pk] * len(left),
        "edge_start": [start for _, start, _ in left],
        "edge_end": [end for _, _, end in left],
        "edge_first_day": [start for _, start, _ in left],
        "edge_last_day": [end for _, _, end in left],
    }


def _rows(name: str, parameters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    parts = sections("usage")
    rows = counted(scope=parts["edge_scope"].replace("{edge}", parts["edge"]), columns=COLUMNS)
    with connection.chunked_cursor() as cursor:
        cursor.execute(compose(parts[name], edge_rows=rows), parameters)
        while some := cursor.fetchmany(2_000):
            yield from some


def counted_by_pair(start: datetime, end: datetime, *, first: int, last: int) -> dict[tuple[int, int], int]:
    """Count the events that count in whole UTC days, by (customer, feature): of customers with keys first to last."""
    parts = sections("usage")
    parameters: dict[str, datetime | int] = {"start": start, "end": end, "first": first, "last": last}
    with connection.cursor() as cursor:
        cursor.execute(compose(parts["by_pair"], rolled=parts["rolled"]), parameters)
        return {(customer_id, feature_id): count for customer_id, feature_id, count in cursor.fetchall()}
