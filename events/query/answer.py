"""The Query tool: a feature's usage in any window, grouped, explained, and compared with a recount from the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from catalog.models import Aggregation, EventNameAlias, Feature
from catalog.models.features import Rounding
from config.numbers import number
from customers.models import Customer
from customers.periods import Period, windows
from events import wording
from events.models import UsageBucket
from events.query import ledger
from events.query.request import MOST_CUSTOMERS, Grouping, Query, QueryRefused
from events.usage.meter import BEGINNING, UsageRequest, ceil_hour, floor_hour, usage_many

MOST_POINTS = 800
ADDITIVE = (Aggregation.COUNT, Aggregation.SUM, Aggregation.SUM_WITH_MULTIPLIER, Aggregation.UNIQUE_COUNT)


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A group's quantity and number of events. `start` and `end` are set if grouped by time."""

    label: str
    quantity: Decimal
    events: int
    customer: Customer | None = None
    start: datetime | None = None
    end: datetime | None = None
    parts: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Recount:
    """The same quantity counted from the ledger, event by event."""

    quantity: Decimal | None
    events: int
    agrees: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a query. The `parts` of `rows` are in the order of `customers`.

    `total` is None if the customers' quantities can't be added up.
    """

    query: Query
    customers: tuple[Customer, ...]
    total: Decimal | None
    events: int
    by_customer: tuple[AnswerRow, ...]
    rows: tuple[AnswerRow, ...]
    explanation: tuple[str, ...]
    is_cut: bool = False
    recount: Recount | None = None


def answer(query: Query, *, recount: bool = False) -> Answer:
    """Answer the query from hourly totals; with `recount`, also count the total from the ledger.

    Raises QueryRefused if that would take too long.
    """
    customers, is_cut = (query.customers, False) if query.customers else customers_with_usage(query)
    by_customer = _by_customer(query, customers)
    total, events = _total(query.feature, by_customer)
    if query.group == Grouping.PROPERTY:
        groups, rows_cut = ledger.by_property(query, customers)
        rows = tuple(AnswerRow(*group) for group in groups)
    else:
        rows, rows_cut = (_by_time(query, customers) if query.group else ()), False
    return Answer(
        query,
        tuple(customers),
        total,
        events,
        by_customer,
        rows,
        explain(query),
        is_cut or rows_cut,
        _recount(query, customers, by_customer) if recount else None,
    )


def customers_with_usage(query: Query) -> tuple[tuple[Customer, ...], bool]:
    """Find the customers with the most events of the feature in the window, and whether there are more customers."""
    start = BEGINNING if query.feature.is_cumulative else floor_hour(query.period.start)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT customer_id FROM events_usagebucket WHERE feature_id = %s AND hour >= %s AND hour < %s"
            " GROUP BY customer_id ORDER BY sum(count) DESC, customer_id LIMIT %s",
            [query.feature.pk, start, ceil_hour(query.period.end), MOST_CUSTOMERS + 1],
        )
        ids = [row[0] for row in cursor.fetchall()]
    customers = Customer.objects.in_bulk(ids[:MOST_CUSTOMERS])
    return tuple(customers[pk] for pk in ids[:MOST_CUSTOMERS]), len(ids) > MOST_CUSTOMERS


def _by_customer(query: Query, customers: Sequence[Customer]) -> tuple[AnswerRow, ...]:
    feature, period = query.feature, query.period
    requests = [UsageRequest(customer.pk, feature.pk, period.start, period.end) for customer in customers]
    quantities = usage_many(requests, features={feature.pk: feature})
    rows = [
        AnswerRow(customer.name, usage.value, usage.events, customer)
        for customer, usage in zip(customers, quantities, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -row.quantity))


def _total(feature: Feature, rows: Sequence[AnswerRow]) -> tuple[Decimal | None, int]:
    """Add up the customers' quantities if the aggregation allows it: counts and sums can be added, a maximum can't."""
    events = sum(row.events for row in rows)
    if len(rows) == 1:
        return rows[0].quantity, events
    if not rows:
        return Decimal(0), 0
    if feature.aggregation not in ADDITIVE:
        return None, events
    return sum((row.quantity for row in rows), Decimal(0)), events


def _by_time(query: Query, customers: Sequence[Customer]) -> tuple[AnswerRow, ...]:
    """Split the window into local hours, days, weeks or months. `parts` are in the order of the customers."""
    spans = list(cut(query.period, query.group, query.timezone))
    if len(spans) * max(len(customers), 1) > MOST_POINTS * 4 or len(spans) > MOST_POINTS:
        raise QueryRefused("The window is too long for this grouping: group by a longer unit, or shorten the window.")
    feature = query.feature
    requests = [UsageRequest(customer.pk, feature.pk, span.start, span.end) for span in spans for customer in customers]
    quantities = iter(usage_many(requests, features={feature.pk: feature}))
    rows = []
    for span in spans:
        usages = [next(quantities) for _ in customers]
        parts = tuple(usage.value for usage in usages)
        total, events = _total(feature, [AnswerRow("", usage.value, usage.events) for usage in usages])
        if total is None:
            total = max(parts, default=Decimal(0))
        name = label(span, query.group, query.timezone)
        rows.append(AnswerRow(name, total, events, None, span.start, span.end, parts))
    return tuple(rows)


def cut(period: Period, unit: Grouping, timezone: str) -> list[Period]:
    """Split a window at local hours, days, Mondays or months. Its start and end don't move."""
    if unit == Grouping.HOUR:
        edges = [period.start]
        while edges[-1] < period.end:
            edges.append(min(floor_hour(edges[-1]) + timedelta(hours=1), period.end))
        return [Period(*pair) for pair in pairwise(edges)]
    return list(windows(period, unit, timezone))


def label(span: Period, unit: Grouping, timezone: str) -> str:
    """Name a group by its local start."""
    local = span.start.astimezone(ZoneInfo(timezone))
    formats = {Grouping.HOUR: "%Y-%m-%d %H:%M", Grouping.MONTH: "%Y-%m"}
    return local.strftime(formats.get(unit, "%Y-%m-%d"))


def _recount(query: Query, customers: Sequence[Customer], kept: Sequence[AnswerRow]) -> Recount:
    """Count the window's events in the ledger, and compare customer by customer."""
    counted = ledger.recount(query, customers)
    rows = [AnswerRow(customer.name, *figures, customer) for customer, figures in zip(customers, counted, strict=True)]
    total, events = _total(query.feature, rows)
    agrees = {row.customer: (row.quantity, row.events) for row in rows} == {
        row.customer: (row.quantity, row.events) for row in kept
    }
    return Recount(total, events, agrees)


def explain(query: Query) -> tuple[str, ...]:
    """Explain how the quantity is calculated: which events, which aggregation, which window, and from which data."""
    feature = query.feature
    names = [
        feature.event_name,
        *EventNameAlias.objects.filter(event_name=feature.event_name).values_list("alias", flat=True),
    ]
    aggregation = Aggregation(feature.aggregation)
    of = f" of the field {wording.quoted(feature.field)}" if feature.field else ""
    sentences = [
        f"{aggregation.label}{of}: {wording.AGGREGATES[aggregation]}.",
        f"Events named {' or '.join(map(wording.quoted, names))}.",
    ]
    if feature.multiplier is not None:
        sentences.append(f"Every value is multiplied by {number(feature.multiplier)}.")
    if feature.filters:
        sentences.append(f"Only events where {_conditions(feature.filters)}.")
    if feature.excluded:
        sentences.append(f"Not the events where {_conditions(feature.excluded)}.")
    if feature.is_cumulative:
        sentences.append("Cumulative: the running total of the customer's history up to the end of the window.")
    else:
        sentences.append("Periodic: usage starts at 0 at the start of the window, as in each billing period.")
    sentences.append(f"From {wording.span(query.period, query.timezone)}, excluding the end.")
    if feature.rounding != Rounding.NONE:
        sentences.append(f"Rounded: {feature.get_rounding_display().lower()}, {feature.rounding_places} decimals.")
    if query.group == Grouping.PROPERTY:
        sentences.append("Calculated from the individual events in the ledger.")
    else:
        sentences.append("Calculated from hourly totals, and for partial hours from the events in the ledger.")
    return tuple(sentences)


def _conditions(filters: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name} is {' or '.join(map(str, values if isinstance(values, list) else [values]))}"
        for name, values in filters.items()
    )


def last_counted_at(feature: Feature) -> datetime | None:
    """Return the latest hour with usage of the feature, to suggest on an otherwise empty page."""
    return UsageBucket.objects.filter(feature=feature).order_by("-hour").values_list("hour", flat=True).first()
