"""Locks of parts. Readers share a lock until their transaction ends; what moves a part's events holds it alone."""

from collections.abc import Iterable
from typing import Any

PART_LOCK = 7_301_140


def share_parts(cursor: Any, parts: Iterable[int]) -> None:
    """Keep the events of these parts where they are until the transaction ends."""
    statement = "SELECT pg_advisory_xact_lock_shared(%s, part) FROM unnest(%s::int[]) AS held (part)"
    cursor.execute(statement, [PART_LOCK, sorted(parts)])


def hold_part(cursor: Any, part: int) -> bool:
    """Keep others from reading a part until the transaction ends; return False if someone reads it now.

    Never waits: behind someone who waits, all readers of the part would wait for the longest of those before them.
    """
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [PART_LOCK, part])
    is_held: bool = cursor.fetchone()[0]
    return is_held
