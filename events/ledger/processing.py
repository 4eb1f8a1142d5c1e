"""From the inbox to the ledger: one transaction a batch, in which every event ends in exactly one state."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pglock
from django.db import connection, transaction

from events.models import ProcessedBatch
from events.sql import section, statement

BATCH_SIZE = 20_000
# Batches share this lock; a change of what counts (a replay's first step) takes it alone for a moment, so that no batch
# which began under the old configuration commits after the replay has looked.
CONFIGURATION_LOCK = 7_301_001


@dataclass(frozen=True)
class BatchResult:
    """How many events a batch took from the inbox, and how they ended."""

    events: int = 0
    counted: int = 0
    partly: int = 0
    problems: int = 0
    duplicates: int = 0
    conflicts: int = 0


def process_batch(limit: int = BATCH_SIZE) -> BatchResult:
    """Turn the oldest waiting events into ledger rows, usage and problems, all in one commit.

    A request's events are processed together, so a batch can be larger than `limit` by the last request's. Safe side by
    side: each request is claimed by one worker. Killed anywhere, the events still wait. An empty inbox gives an empty
    result. Raises what PostgreSQL raises; nothing is then changed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        prepare(cursor)
        pglock.advisory(CONFIGURATION_LOCK, xact=True, shared=True).acquire()
        cursor.execute("SELECT clock_timestamp()")
        started_at = cursor.fetchone()[0]
        if not (events := claim(cursor, limit)):
            return BatchResult()
        judge(cursor)
        cursor.execute(statement("append"))
        duplicates, conflicts = take_out_repeats(cursor) if cursor.rowcount < events else (0, 0)
        partly, problems = record_problems(cursor)
        count_hits(cursor)
        result = BatchResult(events, events - duplicates - partly - problems, partly, problems, duplicates, conflicts)
        log_batch(cursor, started_at, result)
    return result


def prepare(cursor: Any) -> None:
    """Make this connection's scratch tables, unless it has them, and set what the big statements need."""
    cursor.execute(statement("scratch"))
    # Commits empty them; a second use within one transaction would find the first one's rows.
    cursor.execute(
        "DELETE FROM batch; DELETE FROM hit; DELETE FROM finding; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"
    )


def claim(cursor: Any, limit: int) -> int:
    """Move the oldest waiting requests into the batch, whole, until it has `limit` events. Gives how many it has.

    The commit needn't wait for the disk: were it lost, the requests would still wait, and be processed again.
    """
    cursor.execute("SET LOCAL synchronous_commit = off")
    cursor.execute(section("claim", "choose"), {"limit": limit})
    requests = cursor.fetchone()[0]
    if not requests:
        return 0
    cursor.execute(section("claim", "take"), {"requests": requests})
    return int(cursor.rowcount)


def judge(cursor: Any) -> None:
    """Work out what the batch's events mean: hits, and the findings that keep some from counting."""
    cursor.execute(statement("judge"))
    cursor.execute(statement("find"))


def take_out_repeats(cursor: Any) -> tuple[int, int]:
    """Log the events that the ledger already had, and drop them from the batch. Gives how many, and how many differ."""
    cursor.execute(statement("repeats"))
    duplicates, conflicts = cursor.fetchone()
    cursor.execute("DELETE FROM hit WHERE NOT EXISTS (SELECT FROM batch WHERE batch.id = hit.id)")
    cursor.execute("DELETE FROM finding WHERE NOT EXISTS (SELECT FROM batch WHERE batch.id = finding.id)")
    return duplicates, conflicts


def record_problems(cursor: Any) -> tuple[int, int]:
    """Open a problem for every finding. Gives how many events count in part, and how many not at all."""
    cursor.execute(statement("problems"))
    if not cursor.rowcount:
        return 0, 0
    cursor.execute(statement("tally"))
    partly, problems = cursor.fetchone()
    return partly, problems


def count_hits(cursor: Any) -> None:
    """Add the hits to the buckets. Last in the transaction, so that other workers wait as short as can be."""
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
    """Note the batch for the dashboards."""
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
