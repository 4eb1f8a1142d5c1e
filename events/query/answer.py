"""The Query tool: usage of one feature in any window, grouped, explained, and recounted from the ledger to compare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from django.db import connection

from catalog.models import Aggregation, EventNameAlias, Feature
from config.numbers import number
from customers.models import Customer
from customers.periods import Period, windows
from events import wording
from events.models import UsageBucket
from events.query import ledger
from events.query.request import MOST_CUSTOMERS, Query, QueryRefused
from events.usage.meter import BEGINNING, UsageRequest, ceil_hour, floor_hour, usage_many

MOST_POINTS = 800
ADDITIVE = (Aggregation.COUNT, Aggregation.SUM, Aggregation.SUM_WITH_MULTIPLIER, Aggregation.UNIQUE_COUNT)


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One group's quantity and how many events it came from. `start` and `end` are set when grouped by time."""

    label: str
    quantity: Decimal
    events: int
    customer: Customer | None = None
    start: datetime | None = None
    end: datetime | None = None
    parts: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Recount:
    """The same number from the ledger, event by event."""

    quantity: Decimal | None
    events: int
    agrees: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query came to. `rows` have their `parts` in the order of `customers`.

    `total` is None where customers' quantities don't add up to one number.
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
    """Work the query out from the hourly buckets; with `recount`, the whole number from the ledger beside it.

    Raises QueryRefused where that would take too long.
    """
    customers, is_cut = (query.customers, False) if query.customers else customers_with_usage(query)
    by_customer = _by_customer(query, customers)
    total, events = _total(query.feature, by_customer)
    if query.group == "property":
        groups, rows_cut = ledger.by_property(query, customers)
        rows = tuple(AnswerRow(*group) for group in groups)
    else:
        rows, rows_cut = (_by_time(query, customers) if query.group else ()), False
    found = Answer(query, tuple(customers), total, events, by_customer, rows, explain(query), is_cut or rows_cut)
    return replace(found, recount=_recount(query, customers, by_customer)) if recount else found


def customers_with_usage(query: Query) -> tuple[tuple[Customer, ...], bool]:
    """Find the customers with usage of the feature in the window: those with the most events, and whether more have."""
    start = BEGINNING if query.feature.is_cumulative else floor_hour(query.period.start)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT customer_id FROM events_usagebucket WHERE feature_id = %s AND hour >= %s AND hour < %s"
            " GROUP BY customer_id ORDER BY sum(count) DESC, customer_id LIMIT %s",
            [query.feature.pk, start, ceil_hour(query.period.end), MOST_CUSTOMERS + 1],
        )
        ids = [row[0] for row in cursor.fetchall()]
    found = Customer.objects.in_bulk(ids[:MOST_CUSTOMERS])
    return tuple(found[pk] for pk in ids[:MOST_CUSTOMERS]), len(ids) > MOST_CUSTOMERS


def _by_customer(query: Query, customers: Sequence[Customer]) -> tuple[AnswerRow, ...]:
    feature, period = query.feature, query.period
    requests = [UsageRequest(customer.pk, feature.pk, period.start, period.end) for customer in customers]
    found = usage_many(requests, features={feature.pk: feature})
    rows = [AnswerRow(one.name, used.value, used.events, one) for one, used in zip(customers, found, strict=True)]
    return tuple(sorted(rows, key=lambda row: -row.quantity))


def _total(feature: Feature, rows: Sequence[AnswerRow]) -> tuple[Decimal | None, int]:
    """Add up the customers where that means something: counts and sums of several do, a maximum of several doesn't."""
    events = sum(row.events for row in rows)
    if len(rows) == 1:
        return rows[0].quantity, events
    if not rows:
        return Decimal(0), 0
    adds_up = feature.aggregation in ADDITIVE
    return (sum((row.quantity for row in rows), Decimal(0)) if adds_up else None), events


def _by_time(query: Query, customers: Sequence[Customer]) -> tuple[AnswerRow, ...]:
    """Cut the window into local hours, days, weeks or months; `parts` are the customers' quantities in their order."""
    spans = list(cut(query.period, query.group, query.timezone))
    if len(spans) * max(len(customers), 1) > MOST_POINTS * 4 or len(spans) > MOST_POINTS:
        raise QueryRefused("That is too fine for so long a window: group by something longer, or narrow the window.")
    feature = query.feature
    requests = [UsageRequest(one.pk, feature.pk, span.start, span.end) for span in spans for one in customers]
    found = iter(usage_many(requests, features={feature.pk: feature}))
    rows = []
    for span in spans:
        mine = [next(found) for _ in customers]
        whole, events = _total(feature, [AnswerRow("", used.value, used.events) for used in mine])
        parts = tuple(used.value for used in mine)
        shown = whole if whole is not None else max(parts, default=Decimal(0))
        rows.append(
            AnswerRow(label(span, query.group, query.timezone), shown, events, None, span.start, span.end, parts)
        )
    return tuple(rows)


def cut(period: Period, unit: str, timezone: str) -> list[Period]:
    """Cut a window at local hours, days, Mondays or months; its ends stay where they are."""
    if unit == "hour":
        edges = [period.start]
        while edges[-1] < period.end:
            edges.append(min(floor_hour(edges[-1]) + timedelta(hours=1), period.end))
        return [Period(*pair) for pair in pairwise(edges)]
    return list(windows(period, unit, timezone))


def label(span: Period, unit: str, timezone: str) -> str:
    """Name a group by its local start."""
    local = span.start.astimezone(ZoneInfo(timezone))
    return f"{local:%Y-%m-%d %H:%M}" if unit == "hour" else f"{local:%Y-%m}" if unit == "month" else f"{local:%Y-%m-%d}"


def _recount(query: Query, customers: Sequence[Customer], kept: Sequence[AnswerRow]) -> Recount:
    """Count every event of the window in the ledger anew, and compare customer by customer."""
    fresh = ledger.recount(query, customers)
    rows = [AnswerRow(one.name, *found, one) for one, found in zip(customers, fresh, strict=True)]
    total, events = _total(query.feature, rows)
    agrees = {row.customer: (row.quantity, row.events) for row in rows} == {
        row.customer: (row.quantity, row.events) for row in kept
    }
    return Recount(total, events, agrees)


def explain(query: Query) -> tuple[str, ...]:
    """Say in words how the number comes about: what counts, how it adds up, from when to when, and how it is read."""
    feature = query.feature
    names = [
        feature.event_name,
        *EventNameAlias.objects.filter(event_name=feature.event_name).values_list("alias", flat=True),
    ]
    aggregation = Aggregation(feature.aggregation)
    of = f" of the field {wording.quoted(feature.field)}" if feature.field else ""
    said = [
        f"{aggregation.label}{of}: {wording.AGGREGATES[aggregation]}.",
        f"Events named {' or '.join(map(wording.quoted, names))}.",
    ]
    if feature.multiplier is not None:
        said.append(f"Every value is multiplied by {number(feature.multiplier)}.")
    if feature.filters:
        wanted = "; ".join(
            f"{name} is {' or '.join(map(str, values if isinstance(values, list) else [values]))}"
            for name, values in feature.filters.items()
        )
        said.append(f"Only events where {wanted}.")
    if feature.is_cumulative:
        said.append("Cumulative: the running total of the customer's whole history up to the window's end.")
    else:
        said.append("Periodic: usage starts at 0 at the window's start, as it does in each billing period.")
    said.append(f"From {wording.span(query.period, query.timezone)}; the end is not part of it.")
    if feature.rounding != "none":
        said.append(f"Rounded: {feature.get_rounding_display().lower()}, {feature.rounding_places} decimals.")
    if query.group == "property":
        said.append("Grouped from the ledger's events, one by one.")
    else:
        said.append("Read from hourly buckets; hours that the window cuts, from the ledger's events.")
    return tuple(said)


def last_counted_at(feature: Feature) -> datetime | None:
    """Return the newest hour with usage of the feature, for a page that would be empty otherwise."""
    return UsageBucket.objects.filter(feature=feature).order_by("-hour").values_list("hour", flat=True).first()
