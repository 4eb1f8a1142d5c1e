"""Restore the test database after a test with transactions: its rows are those of the migrations, and its privileges.

Django would empty all tables, and then create each permission, role and schedule again, which takes seconds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, connections
from django.test import TransactionTestCase

from config.db.privileges import READ_TABLES, SCHEMAS, restrict_application
from tests.owner import as_owner

TABLES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""


@contextmanager
def restored_after_transactions() -> Iterator[None]:
    """Inside the block, each test with transactions leaves the rows that the test database has now."""
    migrated = MigratedRows()
    case_type: Any = TransactionTestCase
    flush = case_type._fixture_teardown
    case_type._fixture_teardown = lambda case: migrated.restore()
    yield
    case_type._fixture_teardown = flush
    migrated.server.close()


class MigratedRows:
    """The rows of the test database right after its migrations, by table, as COPY writes them."""

    def __init__(self) -> None:
        self.server = self._connect()
        self.rows = {table: self._read(table) for (table,) in self.server.execute(TABLES).fetchall()}
        self.privileges = self._read_privileges()

    def restore(self) -> None:
        """Give each table exactly these rows, once all transactions that write have ended. Sequences go on."""
        connections.close_all()
        try:
            self._restore()
        except psycopg.errors.AdminShutdown:  # the test ended all connections
            self.server = self._connect()
            self._restore()
        if self._read_privileges() != self.privileges:  # the test let the application delete events
            with as_owner():
                restrict_application()
            connections.close_all()
            self.privileges = self._read_privileges()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a session that stays open, since a new one would have to look up all tables first."""
        url, name = os.environ["DATABASE_OWNER_URL"], connection.settings_dict["NAME"]
        # In a replica, no triggers run, which protect rows.
        options = "-c session_replication_role=replica -c lock_timeout=60s"
        return psycopg.connect(url, dbname=name, options=options, autocommit=True)

    def _restore(self) -> None:
        with self.server.transaction():
            self.server.execute(f"LOCK TABLE {', '.join(self.rows)} IN EXCLUSIVE MODE".encode())
            changed = [table for table, rows in self.rows.items() if rows and self._read(table) != rows]
            for table in changed + self._find_filled():
                self.server.execute(f"DELETE FROM {table}".encode())
            for table in changed:
                with self.server.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    copy.write(b"".join(self.rows[table]))

    def _read(self, table: str) -> list[bytes]:
        with self.server.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
            return sorted(b"".join(copy).splitlines(keepends=True))

    def _read_privileges(self) -> list[tuple[Any, ...]]:
        """Return what the application's role may do with each table."""
        return self.server.execute(READ_TABLES, {"role": settings.DATABASE_ROLE, "schemas": SCHEMAS}).fetchall()

    def _find_filled(self) -> list[str]:
        """Return the tables with rows that were empty."""
        empty = [table for table, rows in self.rows.items() if not rows]
        parts = [f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in empty]
        return [name for (name,) in self.server.execute(" UNION ALL ".join(parts).encode(), prepare=True).fetchall()]
