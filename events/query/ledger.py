"""Read the Query tool's figures from the ledger, event by event: groups by property, and recounts.

`sql/counted.sql` decides which events count. The time is limited.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction

from catalog.models import Aggregation, Feature
from customers.models import Customer
from customers.periods import Period
from events.history.reading import ledger
from events.query.request import Query, QueryRefused
from events.sql import compose, counted, sections
from events.usage.aggregation import Sums, aggregate, round_quantity
from events.usage.meter import BEGINNING, select_events

MOST_VALUES = 200
LEDGER_SECONDS = 15
COLUMNS = ("count", "total", "weighted", "maximum", "minimum", "latest", "distinct")


def by_property(query: Query, customers: Sequence[Customer]) -> tuple[list[tuple[str, Decimal, int]], bool]:
    """Group counted events by a property: (value, quantity, events), most events first, and whether there are more.

    At most 200 values. Raises QueryRefused if the aggregation can't be split or reading takes too long.
    """
    if query.feature.aggregation == Aggregation.WEIGHTED_SUM:
        raise QueryRefused("A weighted sum can't be grouped by a property: group it by time instead.")
    limits: dict[str, str | int] = {"property": query.property, "limit": MOST_VALUES + 1}
    rows = _read("by_property", sections("query")["label"], query, customers, limits)
    groups = [("not sent" if label is None else label, _quantity(query, Sums(*sums)), sums[0]) for label, *sums in rows]
    return groups[:MOST_VALUES], len(groups) > MOST_VALUES


def recount(query: Query, customers: Sequence[Customer]) -> list[tuple[Decimal, int]]:
    """Recount the window from the ledger: (quantity, events) of each customer. Raises QueryRefused."""
    sums_by_customer = _sums_by_customer(query, customers)
    earlier: dict[int, Sums] = {}
    if query.feature.is_cumulative and query.feature.aggregation == Aggregation.WEIGHTED_SUM:
        earlier = _sums_by_customer(replace(query, period=Period(BEGINNING, query.period.start)), customers)
    rows = []
    for no, _ in enumerate(customers):
        before = earlier.get(no, Sums())
        sums = replace(sums_by_customer.get(no, Sums()), before=before.total)
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
    """Run a statement of `sql/query.sql` on the counted events of the window."""
    parts = sections("query")
    by_time = query.feature.aggregation == Aggregation.WEIGHTED_SUM
    parameters: dict[str, Any] = {
        "customers": [customer.pk for customer in customers],
        "feature": query.feature.pk,
        "start": BEGINNING if query.feature.is_cumulative and not by_time else query.period.start,
        "end": query.period.end,
    }
    selections = select_events(parameters["customers"], query.feature, (parameters["start"], parameters["end"]))
    try:
        with transaction.atomic(), ledger(selections) as with_sealed, connection.cursor() as cursor:
            rows = counted(scope=parts["scope"], columns=compose(columns, **parts), with_sealed=with_sealed)
            cursor.execute(f"SET LOCAL statement_timeout = '{LEDGER_SECONDS}s'")
            cursor.execute(compose(parts[name], **parts | {"rows": rows}), parameters | more)
            return list(cursor.fetchall())
    except OperationalError as error:
        raise QueryRefused(
            f"The window has too many events to read within {LEDGER_SECONDS} seconds: shorten it."
        ) from error
