"""Process ledger events again after the configuration has changed. Usage is recounted in the same commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any

import pglock
from django.contrib.auth.models import User
from django.db import connection, transaction

from events.history.changing import load_for_change, load_hours, load_hours_for_change, return_to_ledger
from events.ledger.processing import CONFIGURATION_LOCK, judge, prepare
from events.sql import compose, counted, ledger_of, section, sections, statement, sums

CHUNK = 5_000


@dataclass(frozen=True)
class Replayed:
    """The result of a replay: events processed, problems closed, problems still open, hours recounted."""

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
    """Wait until every batch that began with an older configuration has ended. Call it after committing the change."""
    with transaction.atomic():
        pglock.advisory(CONFIGURATION_LOCK, xact=True).acquire()


def replay(event_ids: Iterable[int], *, closing: str, by: User | None = None) -> Replayed:
    """Process ledger events again with today's configuration. They count in the period in which they occurred.

    `event_ids` are ledger ids. Each chunk is a transaction; after an interruption, a second call does the rest. Voided
    events and dismissed problems stay as they are. `closing` is stored with every problem that the replay closes.
    """
    wait_for_running_batches()
    return sum((replay_chunk(chunk, closing, by) for chunk in batched(event_ids, CHUNK)), Replayed())


def replay_hours(hours: Sequence[tuple[int, int, datetime]], *, closing: str, by: User | None = None) -> Replayed:
    """Process all events of these (customer, feature, hour) again and recount the hours, in one transaction."""
    columns = [list(column) for column in zip(*hours, strict=True)]
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
        cursor.execute(section("replay", "touch_hours"), columns)
        with_sealed = load_hours_for_change((customer_id, hour) for customer_id, _, hour in hours)
        cursor.execute(compose(sections("replay")["events_of_hours"], **ledger_of(with_sealed=with_sealed)))
        ids = [row[0] for row in cursor.fetchall()]
        return _replay(cursor, ids, closing, by, is_loaded=with_sealed)


def replay_chunk(event_ids: Sequence[int], closing: str, by: User | None) -> Replayed:
    """Replay in one transaction, the caller's if there is one, without waiting for running batches."""
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        prepare_recount(cursor)
        return _replay(cursor, event_ids, closing, by)


def _replay(
    cursor: Any, event_ids: Sequence[int], closing: str, by: User | None, *, is_loaded: bool = False
) -> Replayed:
    pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
    events, with_sealed = take_again(cursor, event_ids, is_loaded=is_loaded)
    judge(cursor)
    cursor.execute(section("replay", "drop_dismissed"))
    cursor.execute(compose(sections("replay")["touch"], **ledger_of(with_sealed=with_sealed)))
    if with_sealed:
        cursor.execute(section("replay", "sealed_changes"))
        return_to_ledger(cursor, [row[0] for row in cursor.fetchall()])
    cursor.execute(section("replay", "close"), {"by": by.pk if by else None, "closing": closing[:255]})
    closed = cursor.rowcount
    cursor.execute(statement("problems"))
    cursor.execute(section("replay", "settle"))
    hours = recount_touched(cursor)
    mark_first_counted(cursor)
    cursor.execute("SELECT count(*) FROM finding")
    return Replayed(events, closed, cursor.fetchone()[0], hours)


def take_again(cursor: Any, event_ids: Sequence[int], *, is_loaded: bool = False) -> tuple[int, bool]:
    """Load events of the ledger into the batch; return how many, and whether some are sealed. Locks those that aren't.

    With `is_loaded`, the sealed ones are in this transaction already.
    """
    with_sealed = is_loaded or load_for_change(event_ids)
    cursor.execute(section("replay", "take"), {"ids": list(event_ids)})
    events: int = cursor.rowcount
    if with_sealed:
        cursor.execute(section("replay", "take_sealed"), {"ids": list(event_ids)})
        events += cursor.rowcount
    return events, with_sealed


def mark_first_counted(cursor: Any) -> None:
    """Record the time of the first count for features whose first events have just counted, which fixes their meter."""
    cursor.execute(
        "UPDATE catalog_feature SET first_counted_at = clock_timestamp() WHERE first_counted_at IS NULL"
        " AND id IN (SELECT feature_id FROM touched)"
        " AND EXISTS (SELECT FROM events_usagebucket WHERE feature_id = catalog_feature.id)"
    )


TOUCHED_SCOPE = """
touched
JOIN catalog_feature AS feature ON feature.id = touched.feature_id
JOIN ({names}) AS named ON named.id = feature.id
JOIN {ledger} AS event
    ON event.customer_id = touched.customer_id AND event.event_name = named.name
    AND event.occurred_at >= touched.hour AND event.occurred_at < touched.hour + interval '1 hour'
"""


def prepare_recount(cursor: Any) -> None:
    """Create this connection's scratch tables for recounts if needed."""
    cursor.execute(statement("touched"))
    cursor.execute("DELETE FROM touched; DELETE FROM recounted")


def recount_touched(cursor: Any) -> int:
    """Recount the hours in `touched` and return their number. Invoiced hours are recorded for billing.

    Needs a READ COMMITTED transaction that shares the configuration lock, so that the rollup's mark doesn't move. Safe
    to run while batches are processed (see the locks in recount.sql), and to repeat.
    """
    steps = sections("recount")
    cursor.execute(steps["open"])
    cursor.execute(steps["lock"])
    hours: int = cursor.rowcount
    cursor.execute("SELECT DISTINCT customer_id, hour FROM touched")
    with_sealed = load_hours(cursor.fetchall())
    cursor.execute(compose(steps["read"], counted=counted(scope=TOUCHED_SCOPE, with_sealed=with_sealed)))
    cursor.execute(compose(steps["write"], sums=sums("recounted")))
    cursor.execute(steps["close"])
    cursor.execute(steps["forget_values"])
    cursor.execute(steps["write_values"])
    days = sections("days")
    for step in ("open", "lock", "write", "close"):
        cursor.execute(compose(days[step], touched=days["touched"]))
    cursor.execute(section("late", "note_recounted"))
    return hours
