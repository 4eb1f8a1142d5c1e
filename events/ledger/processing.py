"""Process events from the inbox into the ledger, one transaction per batch. Every event ends in exactly one state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pglock
from django.db import connection, transaction

from events.models import ProcessedBatch
from events.sql import compose, section, sections, statement

BATCH_SIZE = 20_000
# Batches share this lock. A replay briefly takes it exclusively first, so that no batch that began with the old
# configuration commits after the replay has read the events.
CONFIGURATION_LOCK = 7_301_001


@dataclass(frozen=True)
class BatchResult:
    """How many events of a batch ended in each state."""

    events: int = 0
    counted: int = 0
    partly: int = 0
    problems: int = 0
    duplicates: int = 0
    conflicts: int = 0


def process_batch(limit: int = BATCH_SIZE) -> BatchResult:
    """Turn the oldest waiting events into ledger rows, usage and problems, all in one commit.

    A request's events are processed together, so a batch may exceed `limit` by the events of its last request. Safe to
    run concurrently: each request is claimed by one worker. If the worker is killed, the events remain in the inbox.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        started_at = begin(cursor)
        requests = choose(cursor, limit)
        return _process(cursor, requests, started_at) if requests else BatchResult()


def process_requests(requests: Sequence[int]) -> BatchResult:
    """Process these requests as a batch, in the caller's transaction. The self-test does, and rolls it back."""
    with connection.cursor() as cursor:
        return _process(cursor, requests, begin(cursor))


def begin(cursor: Any) -> datetime:
    """Prepare the transaction of a batch, and return when it began. Replays wait until it has ended."""
    prepare(cursor)
    pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
    cursor.execute("SELECT clock_timestamp()")
    started_at: datetime = cursor.fetchone()[0]
    return started_at


def _process(cursor: Any, requests: Sequence[int], started_at: datetime) -> BatchResult:
    events = take(cursor, requests)
    judge(cursor)
    cursor.execute(statement("append"))
    duplicates, conflicts = log_duplicates(cursor) if cursor.rowcount < events else (0, 0)
    partly, problems = record_problems(cursor)
    count_hits(cursor)
    result = BatchResult(events, events - duplicates - partly - problems, partly, problems, duplicates, conflicts)
    log_batch(cursor, started_at, result)
    return result


def prepare(cursor: Any) -> None:
    """Create this connection's scratch tables if needed, and set memory and compilation for the large statements."""
    cursor.execute(statement("scratch"))
    # A commit empties them; a second use within a transaction would find the rows of the first.
    cursor.execute(
        "DELETE FROM batch; DELETE FROM hit; DELETE FROM finding; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"
    )


def choose(cursor: Any, limit: int) -> list[int]:
    """Lock the oldest waiting requests of customers that no other worker holds, until they have `limit` events.

    The commit doesn't wait for the disk: if it is lost, the requests are still waiting and are processed again.
    """
    cursor.execute("SET LOCAL synchronous_commit = off")
    cursor.execute(section("claim", "choose"), {"limit": limit})
    requests: list[int] = cursor.fetchone()[0]
    return requests


def take(cursor: Any, requests: Sequence[int]) -> int:
    """Move the events of the requests into the batch. Returns the number of events."""
    cursor.execute(section("claim", "take"), {"requests": list(requests)})
    return int(cursor.rowcount)


def judge(cursor: Any) -> None:
    """Determine for each event which features it counts for (hits), and why it doesn't count (findings)."""
    cursor.execute(statement("judge"))
    cursor.execute(statement("find"))


def log_duplicates(cursor: Any) -> tuple[int, int]:
    """Log events that are already in the ledger, and drop them from the batch. Returns (duplicates, conflicts)."""
    cursor.execute(compose(sections("repeats")["log"], differs=sections("repeats")["differs"]))
    duplicates, conflicts = cursor.fetchone()
    cursor.execute("DELETE FROM hit WHERE NOT EXISTS (SELECT FROM batch WHERE batch.id = hit.id)")
    cursor.execute("DELETE FROM finding WHERE NOT EXISTS (SELECT FROM batch WHERE batch.id = finding.id)")
    return duplicates, conflicts


def record_problems(cursor: Any) -> tuple[int, int]:
    """Open a problem for every finding. Returns the number of events that count partly, and not at all."""
    cursor.execute(statement("problems"))
    if not cursor.rowcount:
        return 0, 0
    cursor.execute(statement("tally"))
    partly, problems = cursor.fetchone()
    return partly, problems


def count_hits(cursor: Any) -> None:
    """Add the hits to the hourly usage. Comes last in the transaction, so that other workers wait only briefly."""
    cursor.execute(
        """
        SELECT
            array_agg(id) FILTER (WHERE first_counted_at IS NULL),
            bool_or(aggregation = 'latest'), bool_or(aggregation = 'unique_count')
        FROM catalog_feature WHERE id IN (SELECT DISTINCT feature_id FROM hit WHERE reason IS NULL)
        """
    )
    new, any_latest, any_unique = cursor.fetchone()
    cursor.execute(statement("count"))
    cursor.execute(section("late", "oldest"))
    into_rolled_up, into_closed = cursor.fetchone()
    if into_rolled_up:
        cursor.execute(section("days", "count"))
    if any_latest:
        cursor.execute(statement("latest"))
    if any_unique:
        cursor.execute(statement("unique"))
    if into_closed:
        cursor.execute(section("late", "note_hits"))
    if new:
        cursor.execute(
            "UPDATE catalog_feature SET first_counted_at = clock_timestamp() WHERE id = ANY(%s)"
            " AND first_counted_at IS NULL"
            " AND EXISTS (SELECT FROM events_usagebucket WHERE feature_id = catalog_feature.id)",
            [sorted(new)],
        )


def log_batch(cursor: Any, started_at: datetime, result: BatchResult) -> None:
    """Log the batch for the dashboards."""
    cursor.execute("SELECT min(received_at), clock_timestamp() FROM batch")
    oldest, finished_at = cursor.fetchone()
    ProcessedBatch.objects.create(
        started_at=started_at,
        finished_at=finished_at,
        oldest_received_at=oldest or started_at,
        events=result.events,
        counted=result.counted,
        partly=result.partly,
        problems=result.problems,
        duplicates=result.duplicates,
        conflicts=result.conflicts,
    )
