"""Events judged anew after something was mended, and events taken back. Usage follows in the same commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from events.models import Event, EventState, EventVoid, Problem, ProblemState
from events.processing import CONFIGURATION_LOCK, judge, prepare
from events.recounting import prepare_recount, recount_touched
from events.statements import section, statement

CHUNK = 5_000


class NotVoidable(Exception):
    """The event can't be taken back any more."""


class AlreadyVoided(NotVoidable):
    """The event was taken back before."""


class HourIsFinal(NotVoidable):
    """The event occurred in an hour whose other events retention has removed: its usage can't be recounted."""


class ReasonMissing(Exception):
    """Taking an event back, or dismissing a problem, needs a reason."""


@dataclass(frozen=True)
class Replayed:
    """What a replay did: events judged, problems closed by it, problems still open, hours recounted."""

    events: int = 0
    closed: int = 0
    still_open: int = 0
    hours: int = 0

    def __add__(self, other: "Replayed") -> "Replayed":
        return Replayed(
            self.events + other.events,
            self.closed + other.closed,
            self.still_open + other.still_open,
            self.hours + other.hours,
        )


def wait_for_running_batches() -> None:
    """Return once every batch that began under an older configuration has ended. Call it after the change commits."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CONFIGURATION_LOCK])


def replay(event_ids: Iterable[int], *, closing: str, by: User | None = None) -> Replayed:
    """Judge ledger events anew by today's configuration and count them in the period of their own time.

    `event_ids` are ledger ids. A chunk is one transaction; killed in between, a second call finishes. Events that were
    voided, and problems that were dismissed, stay so. `closing` is noted on every problem that goes away.
    """
    wait_for_running_batches()
    return sum((replay_chunk(chunk, closing, by) for chunk in batched(event_ids, CHUNK)), Replayed())


def replay_hours(hours: Sequence[tuple[int, int, datetime]], *, closing: str, by: User | None = None) -> Replayed:
    """Judge all events of some (customer, feature, hour) anew and recount those hours, in one transaction."""
    columns = [list(column) for column in zip(*hours, strict=True)]
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [CONFIGURATION_LOCK])
        cursor.execute(section("replay", "touch_hours"), columns)
        cursor.execute(section("replay", "events_of_hours"))
        ids = [row[0] for row in cursor.fetchall()]
        return _judge_again(cursor, ids, closing, by)


def replay_chunk(event_ids: Sequence[int], closing: str, by: User | None) -> Replayed:
    """Replay in one transaction, the caller's if there is one, without waiting for running batches first."""
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        return _judge_again(cursor, event_ids, closing, by)


def _judge_again(cursor: Any, event_ids: Sequence[int], closing: str, by: User | None) -> Replayed:
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [CONFIGURATION_LOCK])
    cursor.execute(section("replay", "take"), {"ids": list(event_ids)})
    events = cursor.rowcount
    judge(cursor)
    cursor.execute(section("replay", "drop_dismissed"))
    cursor.execute(section("replay", "touch"))
    cursor.execute(section("replay", "close"), {"by": by.pk if by else None, "closing": closing[:255]})
    closed = cursor.rowcount
    cursor.execute(statement("problems"))
    cursor.execute(section("replay", "settle"))
    hours = recount_touched(cursor)
    mark_first_counted(cursor)
    cursor.execute("SELECT count(*) FROM finding")
    return Replayed(events, closed, cursor.fetchone()[0], hours)


def mark_first_counted(cursor: Any) -> None:
    """Fix the meters of features whose first events have just counted."""
    cursor.execute(
        "UPDATE catalog_feature SET first_counted_at = clock_timestamp() WHERE first_counted_at IS NULL"
        " AND id IN (SELECT feature_id FROM touched)"
        " AND EXISTS (SELECT FROM events_usagebucket WHERE feature_id = catalog_feature.id)"
    )


def void_event(event: Event, *, reason: str, now: datetime, by: User | None = None) -> EventVoid:
    """Take an event back: it counts no more, its usage goes, its problems close. The row stays in the ledger.

    Raises ReasonMissing without a reason, AlreadyVoided the second time, and HourIsFinal behind retention's horizon.
    Its event_id stays used: to count the usage after all, send it under a new one.
    """
    if not reason.strip():
        raise ReasonMissing("Say why the event is taken back.")
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [CONFIGURATION_LOCK])
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
        raise ReasonMissing("Say why the problem is dismissed.")
    ids = list(problems)
    with transaction.atomic(), connection.cursor() as cursor:
        # The order of locks is everybody's: configuration, events, problems.
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [CONFIGURATION_LOCK])
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
