"""Fixes: preview what a fix would change, apply it, replay the events that wait for it, and measure the result.

A preview makes the change in a transaction that is rolled back, so it shows exactly what would happen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction

from catalog.models import EventNameAlias, Feature
from customers.models import Customer
from events.diagnosis.billing_facts import Worth, billing
from events.fixing.base import Action, Field, FixRefused
from events.fixing.registry import make_action
from events.fixing.runs import start_run
from events.ledger.replaying import Replayed, replay, replay_chunk
from events.models import Event, MendingRun, Problem, ProblemState
from events.models.operations import MendingKind
from events.usage.meter import UsageRequest, floor_hour, usage_many

__all__ = [
    "Action",
    "Applied",
    "CauseChange",
    "Field",
    "FixRefused",
    "Preview",
    "PreviewBusy",
    "apply_fix",
    "count_waiting",
    "make_action",
    "preview",
    "waiting_events",
]

MOST_EVENTS = 5_000
AT_ONCE = 20_000  # events that a request replays; more are left to a worker
HOUR = timedelta(hours=1)


class PreviewBusy(FixRefused):
    """Workers hold rows that the preview needs."""


@dataclass(frozen=True, slots=True)
class CauseChange:
    """A customer's usage of a feature before and after a fix, over the hours [start, end) of the events."""

    customer: Customer
    feature: Feature
    before: Decimal
    after: Decimal
    events_before: int
    events_after: int
    start: datetime
    end: datetime

    @property
    def difference(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Measured:
    """Usage as (value, events) by (customer, feature), and the amounts of its billing periods."""

    usage: dict[tuple[int, int], tuple[Decimal, int]]
    worth: Worth


@dataclass(frozen=True, slots=True)
class _Keys:
    """What is measured: windows of usage by (customer, feature), and (customer, moment) for the amounts."""

    windows: dict[tuple[int, int], tuple[datetime, datetime]]
    moments: frozenset[tuple[int, datetime]]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a fix would change. `events` were tried; `is_partial`: more are waiting."""

    events: int
    is_partial: bool
    closed: int
    still_open: int
    changes: tuple[CauseChange, ...]
    before: Measured
    after: Measured

    @property
    def money(self) -> dict[str, Decimal]:
        """The difference in amounts by currency, without currencies that don't change."""
        return difference(self.before.worth, self.after.worth)


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of a fix: events replayed, problems closed, usage and amounts before and after.

    With a `run`, a worker replays the events later, because there are more than one request should wait for.
    """

    replayed: Replayed
    changes: tuple[CauseChange, ...]
    money_before: Worth
    money_after: Worth
    run: MendingRun | None = None

    @property
    def money(self) -> dict[str, Decimal]:
        return difference(self.money_before, self.money_after)


def difference(before: Worth, after: Worth) -> dict[str, Decimal]:
    """Subtract amounts by currency, leaving out currencies that don't change."""
    codes = sorted({*before.amounts, *after.amounts})
    amounts = {code: after.amounts.get(code, Decimal(0)) - before.amounts.get(code, Decimal(0)) for code in codes}
    return {code: amount for code, amount in amounts.items() if amount}


def preview(action: Action, *, now: datetime, by: User | None, most: int = MOST_EVENTS) -> Preview:
    """Calculate what a fix would change, for at most 5,000 events. All changes are rolled back.

    Raises Refused and ValidationError as applying the fix would, and PreviewBusy if workers hold the rows too long.
    """
    try:
        tried, is_partial, replayed, keys, after, customers = _try_out(action, now=now, by=by, most=most)
    except OperationalError as error:
        raise PreviewBusy("These events are being processed. Try the preview again in a moment.") from error
    before = _measure(keys, now)
    changes = _changes(before, after, customers, keys)
    return Preview(tried, is_partial, replayed.closed, replayed.still_open, changes, before, after)


def _try_out(
    action: Action, *, now: datetime, by: User | None, most: int
) -> tuple[int, bool, Replayed, _Keys, Measured, dict[int, Customer]]:
    """Make the change, measure the result, and roll everything back, with all that waits for a commit."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Shorter than the deadlock timeout, so that the preview fails and never a worker.
            cursor.execute("SET LOCAL lock_timeout = '800ms'; SET LOCAL statement_timeout = '20s'")
        ids = waiting_events(action, most + 1)
        tried = ids[:most]
        action.apply(now=now, by=by, reason="Preview of a fix")
        replayed = replay_chunk(tried, "", by) if tried else Replayed()
        keys = _keys(action, tried)
        after = _measure(keys, now)
        customers = Customer.objects.in_bulk({customer for customer, _ in keys.windows})
        transaction.set_rollback(True)
    return len(tried), len(ids) > most, replayed, keys, after, customers


def apply_fix(action: Action, *, now: datetime, by: User | None, reason: str = "") -> Applied:
    """Make the change, replay the events that wait for it, and measure the result. Safe to repeat.

    More than 20,000 events are left to a worker, and `run` shows its progress. Raises what `preview` raises, without
    making the change.
    """
    before = preview(action, now=now, by=by).before
    ids = waiting_events(action, AT_ONCE + 1)
    if len(ids) > AT_ONCE:
        return _apply_with_a_run(action, before.worth, now=now, by=by, reason=reason)
    action.apply(now=now, by=by, reason=reason or action.closing())
    replayed = replay(ids, closing=action.closing(), by=by) if ids else Replayed()
    keys = _keys(action, ids[:MOST_EVENTS])
    after = _measure(keys, now)
    customers = Customer.objects.in_bulk({customer for customer, _ in keys.windows})
    return Applied(replayed, _changes(before, after, customers, keys), before.worth, after.worth)


@transaction.atomic
def _apply_with_a_run(action: Action, worth: Worth, *, now: datetime, by: User | None, reason: str) -> Applied:
    """Make the change and create the run in one transaction, so that neither is saved without the other."""
    action.apply(now=now, by=by, reason=reason or action.closing())
    title = action.closing()
    run = start_run(MendingKind.REPLAY, action.name, action.parameters, title=title, now=now, by=by, reason=reason)
    return Applied(Replayed(), (), worth, worth, run)


def waiting_events(action: Action, limit: int) -> list[int]:
    """List the ledger ids of events whose open problems wait for the fix, in order of arrival."""
    condition = action.waiting()
    if condition is None:
        return []
    rows = Problem.objects.filter(condition, state=ProblemState.OPEN).order_by("event_id")
    return list(rows.values_list("event_id", flat=True).distinct()[:limit])


def count_waiting(action: Action) -> int:
    """Count the events that wait for the fix, up to one more than a preview includes."""
    return len(waiting_events(action, MOST_EVENTS + 1))


def _keys(action: Action, ids: Sequence[int]) -> _Keys:
    """Choose what to measure: the hours of the events, or the period of a price change."""
    windows: dict[tuple[int, int], tuple[datetime, datetime]] = {}
    moments: set[tuple[int, datetime]] = set()
    rows = Event.objects.filter(pk__in=ids, customer__isnull=False).values_list(
        "customer_id", "event_name", "occurred_at"
    )
    features = _features_by_name({name for _, name, _ in rows})
    for customer, name, at in rows:
        moments.add((customer, at))
        for feature in features.get(name, ()):
            _widen(windows, (customer, feature), at)
    for customer, feature, at in action.concerns():
        moments.add((customer, at))
        _widen(windows, (customer, feature), at)
    return _Keys(windows, frozenset(moments))


def _widen(windows: dict[tuple[int, int], tuple[datetime, datetime]], key: tuple[int, int], at: datetime) -> None:
    hour = floor_hour(at)
    start, end = windows.get(key, (hour, hour + HOUR))
    windows[key] = (min(start, hour), max(end, hour + HOUR))


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


def _measure(keys: _Keys, now: datetime) -> Measured:
    requests = [UsageRequest(customer, feature, *window) for (customer, feature), window in keys.windows.items()]
    quantities = zip(keys.windows, usage_many(requests), strict=True)
    usage = {key: (quantity.value, quantity.events) for key, quantity in quantities}
    return Measured(usage, billing().worth(keys.moments, now=now))


def _changes(before: Measured, after: Measured, customers: dict[int, Customer], keys: _Keys) -> tuple[CauseChange, ...]:
    """Compare usage before and after, the greatest change in events first."""
    features = Feature.objects.in_bulk({feature for _, feature in after.usage})
    rows = []
    for key, (value, events) in after.usage.items():
        customer, feature = key
        value_before, events_before = before.usage.get(key, (Decimal(0), 0))
        if customer in customers and (value != value_before or events != events_before):
            window = keys.windows[key]
            rows.append(
                CauseChange(customers[customer], features[feature], value_before, value, events_before, events, *window)
            )
    rows.sort(key=lambda row: (row.events_before - row.events_after, row.customer.name, row.feature.name))
    return tuple(rows)
