"""Measure usage and amounts before and after a fix, both over the billing periods of the events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from catalog.models import EventNameAlias, Feature
from customers.models import Customer
from customers.periods import Period
from events.diagnosis.billing_facts import Worth, billing
from events.fixing.base import Action
from events.models import Event
from events.usage.meter import UsageRequest, floor_hour, usage_many

HOUR = timedelta(hours=1)

type Key = tuple[int, int, Period]


@dataclass(frozen=True, slots=True)
class CauseChange:
    """A customer's usage of a feature before and after a fix, in [start, end).

    This is the billing period of the events, so that usage and amounts have the same scope. Without a subscription
    (`is_billed` is false) these are the hours of the events.
    """

    customer: Customer
    feature: Feature
    before: Decimal
    after: Decimal
    events_before: int
    events_after: int
    start: datetime
    end: datetime
    is_billed: bool = False

    @property
    def difference(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Measured:
    """Usage as (value, events) by customer, feature and period, and the amounts of the billing periods."""

    usage: dict[Key, tuple[Decimal, int]]
    worth: Worth


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured: usage by customer, feature and period, and (customer, moment) for the amounts."""

    usage: tuple[Key, ...]
    billed: frozenset[tuple[int, Period]]
    moments: frozenset[tuple[int, datetime]]


def scope_of(action: Action, ids: Sequence[int]) -> Scope:
    """Choose what to measure: the billing periods of the events, or of a price change."""
    uses: set[tuple[int, int, datetime]] = set(action.concerns())
    rows = Event.objects.filter(pk__in=ids, customer__isnull=False)
    events = list(rows.values_list("customer_id", "event_name", "occurred_at"))
    features = _features_by_name({name for _, name, _ in events})
    moments = {(customer, at) for customer, _, at in [*events, *uses] if customer}
    uses |= {(customer, feature, at) for customer, name, at in events if customer for feature in features.get(name, ())}
    periods = billing().periods(moments)
    billed = frozenset((customer, period) for customer, ranges in periods.items() for period in ranges)
    keys: dict[Key, None] = {}
    hours: dict[tuple[int, int], Period] = {}
    for customer, feature, at in sorted(uses):
        containing = [period for period in periods.get(customer, ()) if period.contains(at)]
        keys |= dict.fromkeys((customer, feature, period) for period in containing)
        if not containing:
            hours[customer, feature] = _widen(hours.get((customer, feature)), at)
    keys |= dict.fromkeys((*pair, period) for pair, period in hours.items())
    return Scope(tuple(keys), billed, frozenset(moments))


def measure(scope: Scope, now: datetime) -> Measured:
    """Count the usage and rate the billing periods of a scope."""
    requests = [UsageRequest(customer, feature, period.start, period.end) for customer, feature, period in scope.usage]
    quantities = zip(scope.usage, usage_many(requests), strict=True)
    usage = {key: (quantity.value, quantity.events) for key, quantity in quantities}
    return Measured(usage, billing().worth(scope.moments, now=now))


def compare(before: Measured, after: Measured, customers: dict[int, Customer], scope: Scope) -> tuple[CauseChange, ...]:
    """Compare usage before and after, the greatest change in events first. Leaves out usage that doesn't change."""
    features = Feature.objects.in_bulk({feature for _, feature, _ in after.usage})
    rows = []
    for key, (value, events) in after.usage.items():
        customer, feature, period = key
        value_before, events_before = before.usage.get(key, (Decimal(0), 0))
        if customer in customers and (value != value_before or events != events_before):
            change = CauseChange(
                *(customers[customer], features[feature], value_before, value, events_before, events),
                *(period.start, period.end, (customer, period) in scope.billed),
            )
            rows.append(change)
    rows.sort(key=lambda row: (row.events_before - row.events_after, row.customer.name, row.feature.name, row.start))
    return tuple(rows)


def _widen(hours: Period | None, at: datetime) -> Period:
    hour = floor_hour(at)
    return Period(min(hours.start, hour), max(hours.end, hour + HOUR)) if hours else Period(hour, hour + HOUR)


def _features_by_name(names: Iterable[str]) -> dict[str, list[int]]:
    """Return the features that count each event name, by their event name or an alias."""
    event_names = set(names)
    aliases = dict(EventNameAlias.objects.filter(alias__in=event_names).values_list("alias", "event_name"))
    by_name: dict[str, list[int]] = {}
    for pk, name in (
        Feature.objects.metered()
        .filter(event_name__in=event_names | set(aliases.values()))
        .values_list("pk", "event_name")
    ):
        by_name.setdefault(name, []).append(pk)
    return {name: by_name.get(name) or by_name.get(aliases.get(name, ""), []) for name in event_names}
