"""Look at the locks of the test database."""

from django.db import connection

# A lock on a row that another session changed is a lock on that session's transaction, which names no database.
WAITING = """
    SELECT EXISTS (
        SELECT FROM pg_locks AS waiting JOIN pg_locks AS held USING (pid)
        WHERE NOT waiting.granted
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
"""


def is_someone_waiting() -> bool:
    """Tell whether a session of this database waits for a lock, also from within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        waiting: bool = cursor.fetchone()[0]
    return waiting
