"""Events judged anew after something was mended, and events taken back. Usage follows in the same commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any

import pglock
from django.contrib.auth.models import User
from django.db import connection, transaction

from events.ledger.processing import CONFIGURATION_LOCK, judge, prepare
from events.sql import compose, counted, section, sections, statement, sums

CHUNK = 5_000


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
    with transaction.atomic():
        pglock.advisory(CONFIGURATION_LOCK, xact=True).acquire()


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
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
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
    pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
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


TOUCHED_SCOPE = """
touched
JOIN catalog_feature AS feature ON feature.id = touched.feature_id
JOIN ({names}) AS named ON named.id = feature.id
JOIN events_event AS event
    ON event.customer_id = touched.customer_id AND event.event_name = named.name
    AND event.occurred_at >= touched.hour AND event.occurred_at < touched.hour + interval '1 hour'
"""


def prepare_recount(cursor: Any) -> None:
    """Make this connection's scratch tables for recounts, unless it has them."""
    cursor.execute(statement("touched"))
    cursor.execute("DELETE FROM touched; DELETE FROM recounted")


def recount_touched(cursor: Any) -> int:
    """Recount the hours in `touched` and give how many there are; those that are invoiced are noted.

    Needs a transaction under READ COMMITTED that holds the configuration lock (shared), so that the rollup's mark stays
    where it is. Safe beside running batches: see the locks in recount.sql. A second call finds the same.
    """
    steps = sections("recount")
    cursor.execute(steps["open"])
    cursor.execute(steps["lock"])
    hours: int = cursor.rowcount
    cursor.execute(compose(steps["read"], counted=counted(scope=TOUCHED_SCOPE)))
    cursor.execute(compose(steps["write"], sums=sums("recounted")))
    cursor.execute(steps["close"])
    cursor.execute(steps["forget_values"])
    cursor.execute(steps["write_values"])
    days = sections("days")
    for step in ("open", "lock", "write", "close"):
        cursor.execute(compose(days[step], touched=days["touched"]))
    cursor.execute(section("late", "note_recounted"))
    return hours
