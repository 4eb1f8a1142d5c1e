"""Number and chain the seals of new entries. `verifying` says what the chain proves."""

from django.db import connection, transaction

CHUNK = 10_000


def seal_entries() -> int:
    """Chain the seals of all committed entries, in one order; return how many. Safe to repeat and to run concurrently.

    A function of the owner does it, because the application can't write seals. It holds a lock until the commit, so
    that the chain never forks. Writers of the change log don't wait for it.
    """
    total = 0
    while sealed := _seal_chunk():
        total += sealed
    return total


def _seal_chunk() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT seal_change_log(%s)", [CHUNK])
        return int(cursor.fetchone()[0])
