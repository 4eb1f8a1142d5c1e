"""Usage of features by customers: from hourly totals, and from the ledger for partial hours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.db import connection

from catalog.models import Aggregation, EventNameAlias, Feature
from events.history.reading import ledger
from events.history.selection import EventSelection
from events.sql import compose, counted, sections
from events.usage.aggregation import Sums, aggregate, round_quantity

HOUR = timedelta(hours=1)
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
SPAN_COLUMNS = ("no", "customer", "feature", "start", "end", "first_day", "last_day")


@dataclass(frozen=True)
class UsageRequest:
    """A customer's usage of a feature in [start, end). A cumulative feature counts from the beginning of time."""

    customer_id: int
    feature_id: int
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Quantity:
    """The aggregated value, and the events it was calculated from: their number and their ids' checksum."""

    value: Decimal
    events: int
    checksum: int


@dataclass(frozen=True)
class _Span:
    """The time range of a request, as full hours and the partial hours at its edges."""

    no: int
    customer_id: int
    feature_id: int
    start: datetime
    end: datetime

    @property
    def full_hours(self) -> tuple[datetime, datetime]:
        first, last = ceil_hour(self.start), floor_hour(self.end)
        return first, max(first, last)

    @property
    def edges(self) -> list[tuple[datetime, datetime]]:
        first, last = self.full_hours
        if first >= self.end:
            return [(self.start, self.end)] if self.start < self.end else []
        ends = [(self.start, first), (last, self.end)]
        return [(start, end) for start, end in ends if start < end]


def usage(customer_id: int, feature: Feature, start: datetime, end: datetime) -> Quantity:
    """Calculate a feature's usage by a customer in [start, end). A cumulative feature counts from the beginning."""
    return usage_many([UsageRequest(customer_id, feature.pk, start, end)], features={feature.pk: feature})[0]


def usage_many(requests: Sequence[UsageRequest], *, features: dict[int, Feature] | None = None) -> list[Quantity]:
    """Calculate the usage of many requests, in their order, with a fixed number of queries. Rounds by each feature.

    Exact for any window: partial hours are read from the ledger. Pass `features` if they are loaded already.
    """
    if not requests:
        return []
    known = features or Feature.objects.in_bulk({request.feature_id for request in requests})
    spans, levels = [], []
    for no, request in enumerate(requests):
        feature = known[request.feature_id]
        by_time = feature.aggregation == Aggregation.WEIGHTED_SUM
        start = BEGINNING if feature.is_cumulative and not by_time else request.start
        spans.append(_Span(no, request.customer_id, request.feature_id, start, request.end))
        if feature.is_cumulative and by_time:
            levels.append(_Span(no, request.customer_id, request.feature_id, BEGINNING, request.start))
    sums = _add_up(spans, known)
    before = _add_up(levels, known) if levels else {}
    return [
        _quantity(known[request.feature_id], request, sums.get(no, Sums()), before.get(no, Sums()))
        for no, request in enumerate(requests)
    ]


def _quantity(feature: Feature, request: UsageRequest, sums: Sums, before: Sums) -> Quantity:
    if before.count:
        sums = replace(sums, before=before.total)
    value = aggregate(feature.aggregation, sums, request.start, request.end)
    rounded = round_quantity(value, feature.rounding, feature.rounding_places)
    return Quantity(rounded, sums.count + before.count, sums.checksum ^ before.checksum)


def counts_many(requests: Sequence[UsageRequest]) -> list[int]:
    """Count the events of each request within [start, end), also for cumulative features, in the order of requests.

    Exact for any window, with a fixed number of queries.
    """
    spans = [_Span(no, **vars(request)) for no, request in enumerate(requests)]
    sums = _sum_up(spans, set()) if spans else {}
    return [sums.get(no, Sums()).count for no in range(len(requests))]


def _add_up(spans: Sequence[_Span], features: dict[int, Feature]) -> dict[int, Sums]:
    """Add up the full and partial hours of every span, by its number. Spans without events are omitted."""
    return _sum_up(spans, {features[span.feature_id].aggregation for span in spans})


def _sum_up(spans: Sequence[_Span], aggregations: set[str]) -> dict[int, Sums]:
    parameters, any_edges = _parameters(spans)
    with ledger(_select_edges(spans)) as with_sealed, connection.cursor() as cursor:

        def rows(name: str) -> list[tuple[Any, ...]]:
            cursor.execute(_query(name, with_sealed=with_sealed), parameters)
            fetched: list[tuple[Any, ...]] = cursor.fetchall()
            return fetched

        totals = {no: Sums(*sums) for no, *sums in rows("sums")}
        if Aggregation.LATEST in aggregations:
            for no, *latest in rows("latest"):
                totals[no] = totals.get(no, Sums()).with_latest(*latest)
        if any_edges:
            for no, *sums in rows("edge_sums"):
                totals[no] = totals.get(no, Sums()).plus(Sums(*sums))
        if Aggregation.UNIQUE_COUNT in aggregations:
            for no, distinct in rows("edge_distinct" if any_edges else "distinct"):
                totals[no] = replace(totals.get(no, Sums()), distinct=distinct)
    return totals


def _parameters(spans: Sequence[_Span]) -> tuple[dict[str, str], bool]:
    """Return the spans' full and partial hours as array literals, and whether there are any partial hours."""
    columns: dict[str, list[Any]] = {f"{kind}_{name}": [] for kind in ("whole", "edge") for name in SPAN_COLUMNS}

    def add(kind: str, *values: Any) -> None:
        for name, value in zip(SPAN_COLUMNS, values, strict=True):
            columns[f"{kind}_{name}"].append(value)

    for span in spans:
        start, end = span.full_hours
        add("whole", span.no, span.customer_id, span.feature_id, start, end, ceil_day(start), floor_day(end))
        for start, end in span.edges:
            add("edge", span.no, span.customer_id, span.feature_id, start, end, start, end)
    # Faster than psycopg, which looks at each value of an array first; a billing run has thousands.
    return {name: f"{{{','.join(map(str, values))}}}" for name, values in columns.items()}, bool(columns["edge_no"])


def _select_edges(spans: Sequence[_Span]) -> Iterator[EventSelection]:
    """Yield which sealed events the partial hours of spans need: for each of them, those of all its customers."""
    customers: dict[tuple[datetime, datetime], set[int]] = {}
    for span in spans:
        for edge in span.edges:
            customers.setdefault(edge, set()).add(span.customer_id)
    for (start, end), ids in customers.items():
        yield EventSelection(customers=ids, start=start, end=end)


@cache
def _query(name: str, *, with_sealed: bool) -> str:
    """Compose a usage query from the shared definition of which events count."""
    parts = sections("usage")
    rows = _edge_rows("edge.no,", with_sealed=with_sealed)
    return compose(parts[name], edge_rows=rows, whole=parts["whole"], rolled=parts["rolled"])


@cache
def _edge_rows(columns: str, *, with_sealed: bool) -> str:
    parts = sections("usage")
    scope = parts["edge_scope"].replace("{edge}", parts["edge"])
    return counted(scope=scope, columns=columns, with_sealed=with_sealed)


def select_events(
    customer_ids: Iterable[int] | None, feature: Feature, *windows: tuple[datetime, datetime]
) -> Iterator[EventSelection]:
    """Yield which sealed events the usage of a feature by customers, or by all, in windows needs.

    Asks nothing until it is iterated.
    """
    aliases = EventNameAlias.objects.filter(event_name=feature.event_name).values_list("alias", flat=True)
    names = [feature.event_name, *aliases]
    customers = None if customer_ids is None else list(customer_ids)
    for start, end in windows:
        yield EventSelection(customers=customers, names=names, start=start, end=end)


def event_values(customer_id: int, feature: Feature, start: datetime, end: datetime) -> Iterator[Decimal]:
    """Yield the value of every counted event in [start, end), by time and arrival, for percentage prices.

    Streams from the ledger, so memory use is constant.
    """
    start = BEGINNING if feature.is_cumulative else start
    parameters: dict[str, Any] = {
        "edge_no": [0],
        "edge_customer": [customer_id],
        "edge_feature": [feature.pk],
        "edge_start": [start],
        "edge_end": [end],
        "edge_first_day": [start],
        "edge_last_day": [end],
    }
    selections = select_events([customer_id], feature, (start, end))
    with ledger(selections) as with_sealed, connection.chunked_cursor() as cursor:
        query = compose(sections("usage")["values"], edge_rows=_edge_rows("", with_sealed=with_sealed))
        cursor.execute(query, parameters)
        while rows := cursor.fetchmany(5_000):
            yield from (row[0] for row in rows)


def floor_hour(moment: datetime) -> datetime:
    """Return the start of the UTC hour."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceil_hour(moment: datetime) -> datetime:
    """Return the time itself if it starts a UTC hour, else the start of the next hour."""
    floor = floor_hour(moment)
    return floor if floor == moment else floor + HOUR


def floor_day(moment: datetime) -> datetime:
    """Return the start of the UTC day."""
    return floor_hour(moment).replace(hour=0)


def ceil_day(moment: datetime) -> datetime:
    """Return the time itself if it starts a UTC day, else the start of the next day."""
    floor = floor_day(moment)
    return floor if floor == moment else floor + 24 * HOUR
