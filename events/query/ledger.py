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
from events.query.request import Query, QueryRefused
from events.sql import compose, counted, sections
from events.usage.aggregation import Sums, aggregate, round_quantity
from events.usage.meter import BEGINNING

MOST_VALUES = 200
LEDGER_SECONDS = 15
COLUMNS = ("count", "total", "weighted", "maximum", "minimum", "latest", "distinct")


def by_property(query: Query, customers: Sequence[Customer]) -> tuple[list[tuple[str, Decimal, int]], bool]:
    """Group counted events by a property's value: (value, quantity, events), most events first, and if there are more.

    At most 200 values. Raises QueryRefused where the aggregation can't be split, or the ledger is too long to read.
    """
    if query.feature.aggregation == Aggregation.WEIGHTED_SUM:
        raise QueryRefused("A sum weighted by time can't be split by a property: group it by time instead.")
    more: dict[str, str | int] = {"property": query.property, "limit": MOST_VALUES + 1}
    rows = _read("by_property", sections("query")["label"], query, customers, more)
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
    return {no: _sums(sums) for no, *sums in _read("by_customer", "wanted.no - 1 AS no,", query, customers, {})}


def _sums(row: Sequence[Any]) -> Sums:
    return Sums(**dict(zip(COLUMNS, row, strict=True)))


def _quantity(query: Query, sums: Sums) -> Decimal:
    feature: Feature = query.feature
    value = aggregate(feature.aggregation, sums, query.period.start, query.period.end)
    return round_quantity(value, feature.rounding, feature.rounding_places)


def _read(
    name: str, columns: str, query: Query, customers: Sequence[Customer], more: dict[str, str | int]
) -> list[tuple[Any, ...]]:
    """Run one of `sql/query.sql`'s statements over the events of the window that count."""
    parts = sections("query")
    by_time = query.feature.aggregation == Aggregation.WEIGHTED_SUM
    parameters: dict[str, Any] = {
        "customers": [customer.pk for customer in customers],
        "feature": query.feature.pk,
        "start": BEGINNING if query.feature.is_cumulative and not by_time else query.period.start,
        "end": query.period.end,
    }
    rows = counted(scope=parts["scope"], columns=compose(columns, **parts))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{LEDGER_SECONDS}s'")
            cursor.execute(compose(parts[name], **parts | {"rows": rows}), parameters | more)
            return list(cursor.fetchall())
    except OperationalError as error:
        raise QueryRefused(
            f"The ledger holds too many events of that window to read in {LEDGER_SECONDS} seconds: narrow it."
        ) from error
