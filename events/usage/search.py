"""Find a customer's events by properties and time of arrival, and calculate their usage.

Hourly totals know neither, so this reads the ledger event by event. `sql/counted.sql` decides which events count.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from django.db import connection

from catalog.models import Aggregation, Feature
from config.limits import MOST_GROUPS
from config.refusals import Refused
from events.history.reading import ledger
from events.history.selection import EventSelection
from events.sql import compose, counted, ledger_of, sections
from events.usage.aggregation import Sums, aggregate, round_quantity
from events.usage.meter import BEGINNING, Quantity, select_events

MOST_FOUND = 10_000
FOREVER = datetime.max.replace(tzinfo=BEGINNING.tzinfo)
Key = tuple[str | None, ...]
Values = Mapping[str, Sequence[str]]


class TooManyGroups(Refused):
    """Usage by group would have too many groups or points."""


class Operator(StrEnum):
    """How a property is compared. `gt`, `gte`, `lt` and `lte` compare numbers and numeric strings."""

    EQUAL = "eq"
    GREATER = "gt"
    AT_LEAST = "gte"
    LESS = "lt"
    AT_MOST = "lte"
    CONTAINS = "contains"
    CONTAINS_NOT = "not_contains"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a property. Dots in the name make a path. There are no wildcards."""

    name: str
    operator: Operator
    value: str | int | Decimal | bool

    @property
    def as_json(self) -> dict[str, Any]:
        """Write the condition for the statement. A number is written as text, so that it stays exact."""
        is_number = isinstance(self.value, int | Decimal) and not isinstance(self.value, bool)
        value = {"number": str(self.value)} if is_number else {"value": self.value}
        return {"property": self.name, "operator": self.operator, **value}


@dataclass(frozen=True, slots=True)
class Search:
    """Select events that meet all conditions, match `include` like a feature's filters, and match no part of `exclude`.

    With `sources`, only events of these sources. A missing property meets no condition. The time of arrival is in
    [received_from, received_before).
    """

    conditions: Sequence[Condition] = ()
    include: Values = dataclasses.field(default_factory=dict)
    exclude: Sequence[Values] = ()
    sources: Sequence[str] = ()
    received_from: datetime | None = None
    received_before: datetime | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "conditions": json.dumps([condition.as_json for condition in self.conditions]),
            "include": json.dumps(self.include),
            "exclude": json.dumps(list(self.exclude)),
            "sources": list(self.sources),
            "received_from": self.received_from,
            "received_before": self.received_before,
        }


def find(
    customer_id: int,
    search: Search,
    *,
    start: datetime = BEGINNING,
    end: datetime = FOREVER,
    limit: int = MOST_FOUND,
) -> list[int]:
    """List the ledger ids of a customer's events that occurred in [start, end), in the order of arrival.

    Includes events that don't count and voided events.
    """
    parameters = search.parameters | {"customer": customer_id, "start": start, "end": end, "limit": limit}
    selections = [EventSelection(customers=[customer_id], start=start, end=end)]
    with ledger(selections) as with_sealed, connection.cursor() as cursor:
        cursor.execute(_query("find", with_sealed=with_sealed), parameters)
        return [row[0] for row in cursor.fetchall()]


def usage_of(customer_id: int, feature: Feature, start: datetime, end: datetime, search: Search) -> Quantity:
    """Calculate the usage of [start, end) from the counted events that match the search."""
    groups = usage_by(customer_id, feature, start, end, search=search)
    return groups.get((), _quantity(feature, Sums(), Sums(), start, end))


def usage_by(
    customer_id: int,
    feature: Feature,
    start: datetime,
    end: datetime,
    *,
    properties: Sequence[str] = (),
    by_source: bool = False,
    search: Search | None = None,
) -> dict[Key, Quantity]:
    """Calculate the usage of [start, end) for each combination of the properties' values, sorted by value.

    Raises TooManyGroups above a thousand groups.

    With `by_source`, a key starts with the source, which is blank for events without one.
    Values are text, or None for a missing property; these groups come last. A cumulative feature counts from the
    beginning, and a weighted sum starts each group at the group's level.
    """
    parameters = (search or Search()).parameters
    parameters |= {"customer": customer_id, "feature": feature.pk, "group_by": list(properties), "by_source": by_source}
    by_time = feature.aggregation == Aggregation.WEIGHTED_SUM
    first = BEGINNING if feature.is_cumulative and not by_time else start
    sums = _add_up(feature, parameters | {"start": first, "end": end})
    before: dict[Key, Sums] = {}
    if feature.is_cumulative and by_time:
        before = _add_up(feature, parameters | {"start": BEGINNING, "end": start})
    return {
        key: _quantity(feature, sums.get(key, Sums()), before.get(key, Sums()), start, end)
        for key in sorted(sums | before, key=lambda key: [(value is None, value or "") for value in key])
    }


def _quantity(feature: Feature, sums: Sums, before: Sums, start: datetime, end: datetime) -> Quantity:
    value = aggregate(feature.aggregation, dataclasses.replace(sums, before=before.total), start, end)
    rounded = round_quantity(value, feature.rounding, feature.rounding_places)
    return Quantity(rounded, sums.count + before.count, sums.checksum ^ before.checksum)


def _add_up(feature: Feature, parameters: dict[str, Any]) -> dict[Key, Sums]:
    names = ("count", "total", "weighted", "maximum", "minimum", "latest", "distinct", "checksum")
    selections = select_events([parameters["customer"]], feature, (parameters["start"], parameters["end"]))
    with ledger(selections) as with_sealed, connection.cursor() as cursor:
        cursor.execute(_query("sums", with_sealed=with_sealed), parameters | {"most": MOST_GROUPS + 1})
        rows = cursor.fetchall()
    if len(rows) > MOST_GROUPS:
        raise TooManyGroups(f"There are more than {MOST_GROUPS:,} groups. Filter by property, or group by another one.")
    return {tuple(key or ()): Sums(**dict(zip(names, sums, strict=True))) for key, *sums in rows}


@cache
def _query(name: str, *, with_sealed: bool) -> str:
    parts = sections("search")
    fragments = {
        "sent": parts["sent"].replace("{property}", "wanted.property"),
        "sent_number": parts["as_number"].replace("{value}", "sent.value"),
        "sought_number": parts["as_number"].replace("{value}", "sent.sought"),
        "chosen": parts["chosen"],
        "key": parts["key"],
    }
    rows = counted(scope=parts["scope"], columns=parts["columns"], with_sealed=with_sealed)
    return compose(parts[name], rows=rows, **fragments, **ledger_of(with_sealed=with_sealed))
