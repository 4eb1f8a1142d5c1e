"""Fixes: preview what a fix would change, apply it, replay the events that wait for it, and measure the result.

A preview makes the change in a transaction that is rolled back, so it shows exactly what would happen.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction

from customers.models import Customer
from events.diagnosis.billing_facts import Worth
from events.fixing.base import Action, Field, FixRefused
from events.fixing.measuring import CauseChange, Measured, Scope, compare, measure, scope_of
from events.fixing.registry import make_action
from events.fixing.runs import start_run
from events.ledger.replaying import Replayed, replay, replay_chunk
from events.models import MendingRun, Problem, ProblemState
from events.models.operations import MendingKind

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


class PreviewBusy(FixRefused):
    """Workers hold rows that the preview needs."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a fix would change. `events` were tried; `is_partial`: more are waiting; `notes`: what else starts."""

    events: int
    is_partial: bool
    closed: int
    still_open: int
    changes: tuple[CauseChange, ...]
    before: Measured
    after: Measured
    notes: tuple[str, ...] = ()

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
    notes: tuple[str, ...] = ()

    @property
    def money(self) -> dict[str, Decimal]:
        return difference(self.money_before, self.money_after)


@dataclass(frozen=True, slots=True)
class _Trial:
    """The result of a change that was rolled back."""

    events: int
    is_partial: bool
    replayed: Replayed
    scope: Scope
    after: Measured
    customers: dict[int, Customer]
    notes: tuple[str, ...]


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
        trial = _try_out(action, now=now, by=by, most=most)
    except OperationalError as error:
        raise PreviewBusy("These events are being processed. Try the preview again in a moment.") from error
    before, replayed = measure(trial.scope, now), trial.replayed
    changes = compare(before, trial.after, trial.customers, trial.scope)
    return Preview(
        *(trial.events, trial.is_partial, replayed.closed, replayed.still_open, changes, before, trial.after),
        notes=trial.notes,
    )


def _try_out(action: Action, *, now: datetime, by: User | None, most: int) -> _Trial:
    """Make the change, measure the result, and roll everything back, with all that waits for a commit."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Shorter than the deadlock timeout, so that the preview fails and never a worker.
            cursor.execute("SET LOCAL lock_timeout = '800ms'; SET LOCAL statement_timeout = '20s'")
        ids = waiting_events(action, most + 1)
        tried = ids[:most]
        action.apply(now=now, by=by, reason="Preview of a fix")
        replayed = replay_chunk(tried, "", by) if tried else Replayed()
        scope = scope_of(action, tried)
        after = measure(scope, now)
        customers = Customer.objects.in_bulk({customer for customer, _, _ in scope.usage})
        notes = action.notes(now=now)
        transaction.set_rollback(True)
    return _Trial(len(tried), len(ids) > most, replayed, scope, after, customers, notes)


def apply_fix(action: Action, *, now: datetime, by: User | None, reason: str = "") -> Applied:
    """Make the change, replay the events that wait for it, and measure the result. Safe to repeat.

    More than 20,000 events are left to a worker, and `run` shows its progress. Raises what `preview` raises, without
    making the change.
    """
    trial = preview(action, now=now, by=by)
    before, notes = trial.before, trial.notes
    ids = waiting_events(action, AT_ONCE + 1)
    if len(ids) > AT_ONCE:
        return _apply_with_a_run(action, before.worth, now=now, by=by, reason=reason)
    action.apply(now=now, by=by, reason=reason or action.closing())
    replayed = replay(ids, closing=action.closing(), by=by) if ids else Replayed()
    scope = scope_of(action, ids[:MOST_EVENTS])
    after = measure(scope, now)
    customers = Customer.objects.in_bulk({customer for customer, _, _ in scope.usage})
    return Applied(replayed, compare(before, after, customers, scope), before.worth, after.worth, notes=notes)


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
