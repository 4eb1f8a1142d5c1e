"""The Query tool's look into the ledger, event by event: groups of a property, and the number that buckets must match.

By the one definition of what counts (`sql/counted.sql`), within a bounded time.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction

from catalog.models import Aggregation, Feature
from customers.models import Customer
from customers.periods import Period
from events.quantities import Sums, aggregate, round_quantity
from events.query import Query, QueryRefused
from events.statements import compose, counted, sections
from events.usage import BEGINNING

MOST_VALUES = 200
LEDGER_SECONDS = 15
SUMS = """
    count(*), COALESCE(sum(number), 0), COALESCE(sum(number * extract(epoch FROM occurred_at)), 0), max(number),
    min(number), (array_agg(number ORDER BY occurred_at DESC, id DESC))[1], count(DISTINCT unique_key)
FROM ({rows}) AS row
"""
BY_CUSTOMER = f"SELECT no, {SUMS} GROUP BY no"
BY_PROPERTY = f"SELECT label, {SUMS} GROUP BY label ORDER BY count(*) DESC, label LIMIT %(limit)s"
COLUMNS = ("count", "total", "weighted", "maximum", "minimum", "latest", "distinct")
VALUE = "COALESCE(event.properties -> %(property)s, event_path(event.properties, %(property)s))"


def by_property(query: Query, customers: Sequence[Customer]) -> tuple[list[tuple[str, Decimal, int]], bool]:
    """Group counted events by a property's value: (value, quantity, events), most events first, and if there are more.

    At most 200 values. Raises QueryRefused where the aggregation can't be split, or the ledger is too long to read.
    """
    if query.feature.aggregation == Aggregation.WEIGHTED_SUM:
        raise QueryRefused("A sum weighted by time can't be split by a property: group it by time instead.")
    columns = f"left(COALESCE(event_text({VALUE}), ({VALUE})::text), 200) AS label,"
    rows = _read(BY_PROPERTY, columns, query, customers, {"property": query.property, "limit": MOST_VALUES + 1})
    found = [("not sent" if label is None else label, _quantity(query, Sums(*sums)), sums[0]) for label, *sums in rows]
    return found[:MOST_VALUES], len(found) > MOST_VALUES


def recount(query: Query, customers: Sequence[Customer]) -> list[tuple[Decimal, int]]:
    """Count the window anew from the ledger, for each customer: (quantity, events). Raises QueryRefused."""
    found = _sums_by_customer(query, customers)
    earlier: dict[int, Sums] = {}
    if query.feature.is_cumulative and query.feature.aggregation == Aggregation.WEIGHTED_SUM:
        earlier = _sums_by_customer(replace(query, period=Period(BEGINNING, query.period.start)), customers)
    rows = []
    for no, _ in enumerate(customers):
        before = earlier.get(no, Sums())
        sums = replace(found.get(no, Sums()), before=before.total)
        rows.append((_quantity(query, sums), sums.count + before.count))
    return rows


def _sums_by_customer(query: Query, customers: Sequence[Customer]) -> dict[int, Sums]:
    return {no: _sums(sums) for no, *sums in _read(BY_CUSTOMER, "edge.no,", query, customers, {})}


def _sums(row: Sequence[Any]) -> Sums:
    return Sums(**dict(zip(COLUMNS, row, strict=True)))


def _quantity(query: Query, sums: Sums) -> Decimal:
    feature: Feature = query.feature
    value = aggregate(feature.aggregation, sums, query.period.start, query.period.end)
    return round_quantity(value, feature.rounding, feature.rounding_places)


def _read(
    statement: str, columns: str, query: Query, customers: Sequence[Customer], more: dict[str, str | int]
) -> list[tuple[Any, ...]]:
    scope = compose(sections("usage")["edge_scope"], edge=sections("usage")["edge"])
    by_time = query.feature.aggregation == Aggregation.WEIGHTED_SUM
    start = BEGINNING if query.feature.is_cumulative and not by_time else query.period.start
    parameters: dict[str, Any] = {
        "edge_no": list(range(len(customers))),
        "edge_customer": [customer.pk for customer in customers],
        "edge_feature": [query.feature.pk] * len(customers),
        "edge_start": [start] * len(customers),
        "edge_end": [query.period.end] * len(customers),
    }
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{LEDGER_SECONDS}s'")
            cursor.execute(compose(statement, rows=counted(scope=scope, columns=columns)), parameters | more)
            return list(cursor.fetchall())
    except OperationalError as error:
        raise QueryRefused(
            f"The ledger holds too many events of that window to read in {LEDGER_SECONDS} seconds: narrow it."
        ) from error
