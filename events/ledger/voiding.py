"""Void events, and dismiss problems."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

import pglock
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from config.refusals import ReasonRequired, Refused
from events.history.changing import load_for_change, return_to_ledger
from events.history.lookup import find_events
from events.ledger.processing import CONFIGURATION_LOCK, judge, prepare
from events.ledger.replaying import CHUNK, prepare_recount, recount_touched, replay_chunk
from events.models import Event, EventState, EventVoid, Problem, ProblemState
from events.sql import compose, section, sections


@dataclass(frozen=True, slots=True)
class Voided:
    """The event ids by outcome."""

    voided: Sequence[str]
    before: Sequence[str]  # voided before
    final: Sequence[str]  # too old: retention has removed events of their hour
    unknown: Sequence[str]


def void_events(event_ids: Sequence[str], *, reason: str, now: datetime) -> Voided:
    """Void events, each in its own transaction. Events that were voided before stay as they are."""
    rows = find_events(event_ids)
    voided, before, final = [], [], []
    for event in rows:
        try:
            void_event(event, reason=reason, now=now)
        except AlreadyVoided:
            before.append(event.event_id)
        except HourIsFinal:
            final.append(event.event_id)
        else:
            voided.append(event.event_id)
    known = {*voided, *before, *final}
    return Voided(voided, before, final, [event_id for event_id in dict.fromkeys(event_ids) if event_id not in known])


def problems_of(
    *, ids: Sequence[int] = (), reason: str = "", event_name: str = "", external_id: str = "", feature: str = ""
) -> QuerySet[Problem]:
    """Return open problems by their ids, or else by the given parts of their cause."""
    rows = Problem.objects.filter(state=ProblemState.OPEN)
    if ids:
        return rows.filter(pk__in=ids)
    conditions = {
        "reason": reason,
        "event_name": event_name,
        "external_customer_id": external_id,
        "feature__public_id": feature,
    }
    return rows.filter(**{name: value for name, value in conditions.items() if value})


class NotVoidable(Refused):
    """The event can't be voided."""


class AlreadyVoided(NotVoidable):
    """The event was voided before."""


class HourIsFinal(NotVoidable):
    """Retention has removed other events of the same hour, so its usage can't be recounted."""


def void_event(event: Event, *, reason: str, now: datetime, by: User | None = None) -> EventVoid:
    """Void an event: it no longer counts, and its usage is removed and its problems closed. It stays in the ledger.

    Its event_id stays used: to count the usage after all, send it under a new event_id. Raises ReasonRequired,
    AlreadyVoided, or HourIsFinal if retention has removed events of the hour.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for voiding the event.")
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
        if load_for_change([event.pk]):
            return_to_ledger(cursor, [event.pk])
        locked = Event.objects.select_for_update().get(pk=event.pk)
        if locked.state == EventState.VOIDED:
            raise AlreadyVoided(f"Event {locked.event_id} is already voided: {locked.void.reason}")
        cursor.execute(section("replay", "take"), {"ids": [locked.pk]})
        if not cursor.rowcount:
            raise HourIsFinal(f"Event {locked.event_id} is older than the retention period, so its usage is final.")
        judge(cursor)
        cursor.execute(compose(sections("replay")["touch"]))
        Event.objects.filter(pk=locked.pk).update(state=EventState.VOIDED, is_touched=True)
        Problem.objects.filter(event=locked, state=ProblemState.OPEN).update(
            state=ProblemState.VOIDED, closed_at=now, closed_by=by, closing=f"Event voided: {reason}"[:255]
        )
        void = EventVoid.objects.create(event=locked, reason=reason[:255], voided_at=now, voided_by=by)
        recount_touched(cursor)
    return void


def dismiss(problems: Iterable[int], *, reason: str, now: datetime, by: User | None = None) -> int:
    """Close open problems without counting their events. Returns their number; closed problems are skipped.

    An event that doesn't count and has only dismissed problems becomes "dismissed".
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for dismissing the problem.")
    ids = list(problems)
    with transaction.atomic():
        # Lock in the same order everywhere: configuration, events, problems.
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
        problems_open = Problem.objects.filter(pk__in=ids, state=ProblemState.OPEN)
        events = sorted(set(problems_open.values_list("event_id", flat=True)))
        list(Event.objects.select_for_update().filter(pk__in=events).order_by("pk").values_list("pk", flat=True))
        locked = list(problems_open.select_for_update().order_by("pk").values_list("pk", flat=True))
        done = Problem.objects.filter(pk__in=locked).update(
            state=ProblemState.DISMISSED, closed_at=now, closed_by=by, closing=reason[:255]
        )
        for part in batched(events, CHUNK):
            replay_chunk(part, "", by)
    return done
