"""Notice what requests write, also if it is rolled back afterwards."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# PostgreSQL's own counts of the rows that this session inserted, updated and deleted, rolled back or not.
# The view pg_stat_xact_user_tables reads them too, and adds up those of all indexes.
COUNTS = """
    SELECT relname, written
    FROM pg_class, LATERAL (
        SELECT pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
            + pg_stat_get_xact_tuples_deleted(oid)
    ) AS counts (written)
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND written > 0
"""


def count_writes() -> Counter[str]:
    """Return the rows written in the running transaction, by table."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        return Counter(dict(cursor.fetchall()))


@contextmanager
def noticing_writes() -> Iterator[Counter[str]]:
    """Yield a counter that has the rows written inside the block, by table, at its end."""
    written: Counter[str] = Counter()
    before = count_writes()
    yield written
    written.update(count_writes() - before)
