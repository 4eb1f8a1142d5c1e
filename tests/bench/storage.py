"""Measure what an event takes on disk: its row, each index, the usage counted from it, and the write-ahead log."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from tests.bench.figures import Figure

# Every table that an event fills, except the ledger and the inbox, which is empty again.
SIZES = """
SELECT 'row', 'ledger', pg_relation_size('events_event')
UNION ALL
SELECT 'toast', 'ledger', pg_table_size('events_event') - pg_relation_size('events_event')
UNION ALL
SELECT 'index', indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE relname = 'events_event'
UNION ALL
SELECT 'usage', relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relname ~ '^events_' AND relname NOT IN ('events_event', 'events_inboxrequest')
"""
SHOWN = 0.5  # smaller parts are left out of the lists


@dataclass(frozen=True)
class Storage:
    """The bytes per event of the ledger's rows, TOAST and indexes, and of the tables of usage and problems."""

    events: int
    row: float
    toast: float
    indexes: dict[str, float]
    usage: dict[str, float]

    @property
    def total(self) -> float:
        return self.row + self.toast + sum(self.indexes.values()) + sum(self.usage.values())


def measure_storage() -> Storage:
    parts: dict[str, dict[str, float]] = {"row": {}, "toast": {}, "index": {}, "usage": {}}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM events_event")
        events = int(cursor.fetchone()[0])
        cursor.execute(SIZES)
        for kind, name, size in cursor.fetchall():
            parts[kind][name] = int(size) / events
    return Storage(events, parts["row"]["ledger"], parts["toast"]["ledger"], parts["index"], parts["usage"])


def read_wal_position() -> int:
    """Return how many bytes of write-ahead log the server has written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(cursor.fetchone()[0])


def make_bytes_figure(storage: Storage, wal: float) -> Figure:
    data: dict[str, Any] = {
        "events": storage.events,
        "row": round(storage.row, 1),
        "toast": round(storage.toast, 1),
        "indexes": _round_shown(storage.indexes),
        "usage_and_problems": _round_shown(storage.usage),
        "wal": round(wal, 1),
    }
    return Figure("event_bytes", storage.total, "bytes", 509, True, data)


def _round_shown(parts: dict[str, float]) -> dict[str, float]:
    """Round, the largest first."""
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return {name: round(size, 1) for name, size in ordered if size >= SHOWN}
