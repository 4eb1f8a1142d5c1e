"""Sessions of the database that hold locks for which others wait."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from config.alarms.pace import paced

END_SESSION = "If it is a person's session, ask them to commit or roll back."
WAITING_S = paced(seconds=30).total_seconds()
# Tasks wait for at most a minute and web requests for a few seconds, then try again: if a transaction has been open for
# long, a short wait is enough. A shorter one is normal.
HELD_S, SHORTLY_S = paced(seconds=60).total_seconds(), paced(seconds=2).total_seconds()
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
        """Whether the others have waited long, or wait for a transaction that has been open for long."""
        return self.waiting_s >= WAITING_S or (self.held_s >= HELD_S and self.waiting_s >= SHORTLY_S)

    @property
    def name(self) -> str:
        return f"{self.pid} ({', '.join(filter(None, (self.role, self.application)))})"


def list_holders() -> list[Holder]:
    """Return the sessions that others wait for, however shortly."""
    with connection.cursor() as cursor:
        cursor.execute(FIND)
        return [Holder(*row) for row in cursor.fetchall()]


def find_holders() -> list[Holder]:
    """Return the sessions for whose locks others have waited long."""
    return [holder for holder in list_holders() if holder.is_long]


def describe_ending(holders: Sequence[Holder]) -> str:
    """Say how to end sessions that others wait for."""
    statements = " ".join(f"SELECT pg_terminate_backend({holder.pid});" for holder in holders)
    return f"{END_SESSION} {statements} ends {'it' if len(holders) == 1 else 'them'}; what wasn't committed is undone."
