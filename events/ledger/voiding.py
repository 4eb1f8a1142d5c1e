"""Events taken back, and problems chosen, by what the API names them by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

import pglock
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from config.refusals import ReasonRequired
from events.ledger.processing import CONFIGURATION_LOCK, judge, prepare
from events.ledger.replaying import CHUNK, prepare_recount, recount_touched, replay_chunk
from events.models import Event, EventState, EventVoid, Problem, ProblemState
from events.sql import section


@dataclass(frozen=True, slots=True)
class Voided:
    """What became of each event id."""

    voided: Sequence[str]
    before: Sequence[str]
    final: Sequence[str]  # older than what retention keeps
    unknown: Sequence[str]


def void_events(event_ids: Sequence[str], *, reason: str, now: datetime) -> Voided:
    """Take events back, each in a transaction of its own. Those that were taken back before stay as they are."""
    rows = Event.objects.filter(event_id__in=event_ids).defer("properties").order_by("pk")
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
    return Voided(voided, before, final, [one for one in dict.fromkeys(event_ids) if one not in known])


def problems_of(
    *, ids: Sequence[int] = (), reason: str = "", event_name: str = "", external_id: str = "", feature: str = ""
) -> QuerySet[Problem]:
    """Return open problems: by their ids, or by their cause, of which everything that is given must hold."""
    rows = Problem.objects.filter(state=ProblemState.OPEN)
    if ids:
        return rows.filter(pk__in=ids)
    given = {
        "reason": reason,
        "event_name": event_name,
        "external_customer_id": external_id,
        "feature__public_id": feature,
    }
    return rows.filter(**{name: value for name, value in given.items() if value})


class NotVoidable(Exception):
    """The event can't be taken back any more."""


class AlreadyVoided(NotVoidable):
    """The event was taken back before."""


class HourIsFinal(NotVoidable):
    """The event occurred in an hour whose other events retention has removed: its usage can't be recounted."""


def void_event(event: Event, *, reason: str, now: datetime, by: User | None = None) -> EventVoid:
    """Take an event back: it counts no more, its usage goes, its problems close. The row stays in the ledger.

    Raises ReasonRequired without a reason, AlreadyVoided the second time, and HourIsFinal behind retention's horizon.
    Its event_id stays used: to count the usage after all, send it under a new one.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the event is taken back.")
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
        locked = Event.objects.select_for_update().get(pk=event.pk)
        if locked.state == EventState.VOIDED:
            raise AlreadyVoided(f"Event {locked.event_id} was voided before: {locked.void.reason}")
        cursor.execute(section("replay", "take"), {"ids": [locked.pk]})
        if not cursor.rowcount:
            raise HourIsFinal(f"Event {locked.event_id} is older than what retention keeps; its usage is final.")
        judge(cursor)
        cursor.execute(section("replay", "touch"))
        Event.objects.filter(pk=locked.pk).update(state=EventState.VOIDED)
        Problem.objects.filter(event=locked, state=ProblemState.OPEN).update(
            state=ProblemState.VOIDED, closed_at=now, closed_by=by, closing=f"Event voided: {reason}"[:255]
        )
        void = EventVoid.objects.create(event=locked, reason=reason[:255], voided_at=now, voided_by=by)
        recount_touched(cursor)
    return void


def dismiss(problems: Iterable[int], *, reason: str, now: datetime, by: User | None = None) -> int:
    """Close open problems without counting their events, with a reason. Gives how many; closed ones are passed over.

    An event whose every problem is dismissed and that counts for nothing becomes "dismissed".
    """
    if not reason.strip():
        raise ReasonRequired("Say why the problem is dismissed.")
    ids = list(problems)
    with transaction.atomic():
        # The order of locks is everybody's: configuration, events, problems.
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
        concerned = Problem.objects.filter(pk__in=ids, state=ProblemState.OPEN)
        events = sorted(set(concerned.values_list("event_id", flat=True)))
        list(Event.objects.select_for_update().filter(pk__in=events).order_by("pk").values_list("pk", flat=True))
        chosen = list(concerned.select_for_update().order_by("pk").values_list("pk", flat=True))
        done = Problem.objects.filter(pk__in=chosen).update(
            state=ProblemState.DISMISSED, closed_at=now, closed_by=by, closing=reason[:255]
        )
        for part in batched(events, CHUNK):
            replay_chunk(part, "", by)
    return done
