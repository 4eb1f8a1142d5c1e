"""Sessions of the database that hold locks for which others wait."""

from dataclasses import dataclass

from django.db import connection

WAITING_S, HELD_S = 20, 60
# What a session of another role does is hidden from the application's role; its process id and its role aren't.
FIND = """
    SELECT
        holder.pid, coalesce(holder.usename, ''), coalesce(holder.application_name, ''),
        count(DISTINCT waiting.pid),
        max(extract(epoch FROM clock_timestamp() - coalesce(lock.waitstart, clock_timestamp())))::float,
        coalesce(max(extract(epoch FROM clock_timestamp() - holder.xact_start)), 0)::float
    FROM pg_locks AS lock
    JOIN pg_stat_activity AS waiting ON waiting.pid = lock.pid AND waiting.datname = current_database()
    CROSS JOIN LATERAL unnest(pg_blocking_pids(lock.pid)) AS blocking (pid)
    JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
    WHERE NOT lock.granted AND cardinality(pg_blocking_pids(holder.pid)) = 0
    GROUP BY holder.pid, holder.usename, holder.application_name
    ORDER BY holder.pid
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that others wait for."""

    pid: int
    role: str
    application: str
    waiting: int
    waiting_s: float
    held_s: float

    @property
    def is_long(self) -> bool:
        return self.waiting_s >= WAITING_S or self.held_s >= HELD_S


def find_holders() -> list[Holder]:
    """Return the sessions for whose locks others have waited long, or that have held them long."""
    with connection.cursor() as cursor:
        cursor.execute(FIND)
        holders = [Holder(*row) for row in cursor.fetchall()]
    return [holder for holder in holders if holder.is_long]
