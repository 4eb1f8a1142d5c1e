"""The events and distinct values that usage was counted from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from catalog.models import Feature
from customers.periods import Period
from events.history.reading import ledger
from events.history.selection import EventSelection
from events.sql import compose, counted, sections
from events.usage.meter import BEGINNING, select_events

COLUMNS = "edge.no, event.event_name, event.received_at, event_text(reading.value) AS value,"


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """An event that counts for a feature: `value` is the field as sent, `number` what the event adds."""

    occurred_at: datetime
    id: int
    event_id: str
    event_name: str
    received_at: datetime
    value: str | None
    number: Decimal | None


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """An event of the ledger, as lists show it."""

    event_id: str
    event_name: str
    occurred_at: datetime
    external_customer_id: str


@dataclass(frozen=True, slots=True)
class DistinctValue:
    """A value that counts once in a window (by number), and the events with this value: how many, first and last."""

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
    """Yield at most `most` events that count for a customer's feature in the windows, by time and arrival.

    `after` is the (occurred_at, id) of an event to continue after. A cumulative feature counts from the beginning to
    the end of the last window. Streams from the ledger, so memory use is constant.
    """
    after_at, after_id = after or (BEGINNING, 0)
    parameters = _parameters(customer_id, feature, windows, since=after_at)
    parameters |= {"after_at": after_at, "after_id": after_id, "most": most}
    return (CountedEvent(*row) for row in _rows("behind", feature, parameters, scope="behind_scope"))


def counts_for(feature: Feature) -> RawSQL:
    """Return the condition, for a queryset of the ledger, that an event counts for a feature."""
    rows = counted(scope=sections("usage")["counts_scope"])
    return RawSQL(f"EXISTS ({compose(rows)})", [feature.pk], output_field=BooleanField())  # noqa: S611  no input


def values_behind(
    customer_id: int, feature: Feature, windows: Sequence[Period], *, most: int
) -> Iterator[DistinctValue]:
    """Yield the distinct values that count for a customer's feature in each window, earliest first."""
    parameters = _parameters(customer_id, feature, windows, since=BEGINNING) | {"most": most}
    return (DistinctValue(*row) for row in _rows("values_behind", feature, parameters))


@dataclass(frozen=True, slots=True)
class FeatureSpan:
    """A customer's events of a feature that occurred from `start` up to `end`."""

    customer_id: int
    feature_id: int
    start: datetime
    end: datetime


def events_in(spans: Sequence[FeatureSpan]) -> Iterator[tuple[int, datetime, int, Decimal | None, str | None]]:
    """Yield the events that count in each span, by time and arrival: its index, time, hash, number and unique value.

    The ledger alone is read, no stored usage. Streams, so memory use is constant.
    """
    return _rows_in("in_spans", spans)


def list_events_in(spans: Sequence[FeatureSpan]) -> Iterator[tuple[FeatureSpan, LedgerEvent]]:
    """Yield the events that count in each span, by time and arrival. Streams."""
    for no, *columns in _rows_in("listed_in_spans", spans, columns="event.event_name, event.external_customer_id,"):
        yield spans[no], LedgerEvent(*columns)


def _rows_in(name: str, spans: Sequence[FeatureSpan], *, columns: str = "") -> Iterator[Any]:
    parameters: dict[str, Any] = {
        "edge_no": list(range(len(spans))),
        "edge_customer": [span.customer_id for span in spans],
        "edge_feature": [span.feature_id for span in spans],
        "edge_start": [span.start for span in spans],
        "edge_end": [span.end for span in spans],
        "edge_first_day": [span.start for span in spans],
        "edge_last_day": [span.end for span in spans],
    }
    parts = sections("usage")
    scope = parts["edge_scope"].replace("{edge}", parts["edge"])
    with ledger(_select_spans(spans)) as with_sealed, connection.chunked_cursor() as cursor:
        rows = counted(scope=scope, columns=f"edge.no, {columns}", with_sealed=with_sealed)
        cursor.execute(compose(parts[name], edge_rows=rows), parameters)
        while chunk := cursor.fetchmany(2_000):
            yield from chunk


def _select_spans(spans: Sequence[FeatureSpan]) -> Iterator[EventSelection]:
    """Yield which sealed events the spans need: of each customer, from the first start to the last end."""
    by_customer: dict[int, list[FeatureSpan]] = {}
    for span in spans:
        by_customer.setdefault(span.customer_id, []).append(span)
    for customer_id, own in by_customer.items():
        start, end = min(span.start for span in own), max(span.end for span in own)
        yield EventSelection(customers=[customer_id], start=start, end=end)


def _parameters(customer_id: int, feature: Feature, windows: Sequence[Period], *, since: datetime) -> dict[str, Any]:
    """Return the windows as arrays, cut off before `since`."""
    if feature.is_cumulative and windows:
        windows = [Period(BEGINNING, windows[-1].end)]
    spans = [(no, max(window.start, since), window.end) for no, window in enumerate(windows, 1) if window.end > since]
    return {
        "edge_no": [no for no, _, _ in spans],
        "edge_customer": [customer_id] * len(spans),
        "edge_feature": [feature.pk] * len(spans),
        "edge_start": [start for _, start, _ in spans],
        "edge_end": [end for _, _, end in spans],
        "edge_first_day": [start for _, start, _ in spans],
        "edge_last_day": [end for _, _, end in spans],
    }


def _rows(
    name: str, feature: Feature, parameters: dict[str, Any], *, scope: str = "edge_scope"
) -> Iterator[tuple[Any, ...]]:
    parts = sections("usage")
    windows = zip(parameters["edge_start"], parameters["edge_end"], strict=True)
    selections = select_events(set(parameters["edge_customer"]), feature, *windows)
    with ledger(selections) as with_sealed, connection.chunked_cursor() as cursor:
        scope_of_rows = parts[scope].replace("{edge}", parts["edge"])
        rows = counted(scope=scope_of_rows, columns=COLUMNS, with_sealed=with_sealed)
        cursor.execute(compose(parts[name], edge=parts["edge"], edge_rows=rows), parameters)
        while chunk := cursor.fetchmany(2_000):
            yield from chunk


def counted_by_pair(start: datetime, end: datetime, *, first: int, last: int) -> dict[tuple[int, int], int]:
    """Count the counted events of full UTC days by (customer, feature), for customer ids from `first` to `last`."""
    parts = sections("usage")
    parameters: dict[str, datetime | int] = {"start": start, "end": end, "first": first, "last": last}
    with connection.cursor() as cursor:
        cursor.execute(compose(parts["by_pair"], rolled=parts["rolled"]), parameters)
        return {(customer_id, feature_id): count for customer_id, feature_id, count in cursor.fetchall()}
