"""Usage calculated the slow and obvious way, event by event, for tests to compare with."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass
class Meter:
    """A feature in the model."""

    event_name: str
    aggregation: str
    field: str = ""
    filters: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    multiplier: Decimal | None = None
    accept_numeric_strings: bool = False
    counts_from: datetime | None = None


@dataclass
class Sent:
    """An event as sent."""

    event_id: str
    event_name: str
    customer: str
    occurred_at: datetime
    properties: dict[str, Any]


def first_of_each(events: Iterable[Sent]) -> list[Sent]:
    """Keep the first arrival of each id."""
    kept: dict[str, Sent] = {}
    for event in events:
        kept.setdefault(event.event_id, event)
    return list(kept.values())


def as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal):
        text = format(Decimal(value), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return None


def number(value: Any, strings: bool) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if strings and isinstance(value, str) and value.strip().replace(".", "", 1).lstrip("+-").isdigit():
        return Decimal(value.strip())
    return None


def counts(meter: Meter, event: Sent) -> bool:
    """Tell whether an event counts for a meter."""
    if event.event_name != meter.event_name:
        return False
    for key, wanted in meter.filters.items():
        if as_text(event.properties.get(key)) not in wanted:
            return False
    if meter.counts_from and event.occurred_at < meter.counts_from:
        return False
    value = event.properties.get(meter.field)
    if meter.aggregation == "count":
        return True
    if meter.aggregation == "unique_count":
        return isinstance(value, str | int | Decimal) and not isinstance(value, bool)
    return number(value, meter.accept_numeric_strings) is not None


def usage(meter: Meter, events: Iterable[Sent], customer: str, start: datetime, end: datetime) -> Decimal:
    """Calculate a customer's usage in [start, end), given all events in the order of arrival."""
    chosen = [
        (event.occurred_at, arrival, event)
        for arrival, event in enumerate(first_of_each(events))
        if event.customer == customer and start <= event.occurred_at < end and counts(meter, event)
    ]
    if meter.aggregation == "count":
        return Decimal(len(chosen))
    if meter.aggregation == "unique_count":
        return Decimal(len({as_text(event.properties[meter.field]) for _, _, event in chosen}))
    values = [
        (at, arrival, number(event.properties[meter.field], meter.accept_numeric_strings) or Decimal(0))
        for at, arrival, event in chosen
    ]
    return add_up(meter, values, start, end) if values else Decimal(0)


def add_up(meter: Meter, values: list[tuple[datetime, int, Decimal]], start: datetime, end: datetime) -> Decimal:
    """Aggregate (time, arrival, value) by the meter's aggregation."""
    only = [value for _, _, value in values]
    if meter.aggregation == "latest":
        return max(values)[2]
    if meter.aggregation == "weighted_sum":
        length = Decimal((end - start).total_seconds())
        return sum((value * Decimal((end - at).total_seconds()) for at, _, value in values), Decimal(0)) / length
    simple = {
        "sum": sum(only, Decimal(0)),
        "sum_with_multiplier": sum((value * (meter.multiplier or 1) for value in only), Decimal(0)),
        "max": max(only),
        "min": min(only),
        "average": sum(only, Decimal(0)) / len(only),
    }
    return simple[meter.aggregation]
