"""What a migration that was interrupted leaves behind."""

from django.db import connection
from psycopg import sql

UNFINISHED = """
    SELECT namespace.nspname, relation.relname
    FROM pg_index
    JOIN pg_class AS relation ON relation.oid = pg_index.indexrelid
    JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    WHERE NOT pg_index.indisvalid AND namespace.nspname = 'public'
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS running WHERE running.index_relid = relation.oid)
"""


def drop_unfinished_indexes() -> list[str]:
    """Drop the indexes whose concurrent build was interrupted, so that the migration can build them again.

    PostgreSQL keeps such an index, and updates it, but uses it for no query.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNFINISHED)
        names = cursor.fetchall()
        for schema, name in names:
            cursor.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(schema, name)))
    return [name for _, name in names]
