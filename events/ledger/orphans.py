"""Problems and voids without their event. The database doesn't check this, because deleting events would be slow."""

from dataclasses import dataclass

from django.db import connection

from events.sql import sections


@dataclass(frozen=True, slots=True)
class Orphan:
    """A problem or void whose event isn't in the ledger. `place` is the event's position in the order of arrival."""

    table: str
    pk: int
    place: int
    text: str


def count_dependents() -> int:
    """Count all problems and voids."""
    with connection.cursor() as cursor:
        cursor.execute(sections("orphans")["count"])
        rows: int = cursor.fetchone()[0]
    return rows


def find_orphans() -> list[Orphan]:
    """Find the problems and voids whose event isn't in the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(sections("orphans")["find"])
        return [Orphan(*row) for row in cursor.fetchall()]
