"""A separate database for one run of the vectors, so that the run neither reads nor changes existing data."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import ProgrammingError, connection

from config.db.owner import as_owner

RUN_LOCK = 7_301_010


class NoScratchDatabase(Exception):
    """The server doesn't let this user make a database. The message says what to do."""


@contextmanager
def scratch_database() -> Iterator[None]:
    """Work in an empty, migrated database on the same server, and drop it at the end.

    One run at a time: a second one waits. What a killed run left is dropped by the next. Not within a transaction.
    Raises `NoScratchDatabase`.
    """
    own = connection.settings_dict["NAME"]
    scratch = f"{own}_conformance"
    with as_owner():
        home = connection.copy()
    name = home.ops.quote_name(scratch)
    try:
        with home.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
            try:
                cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                cursor.execute(f"CREATE DATABASE {name}")
            except ProgrammingError as error:
                raise NoScratchDatabase(
                    f"The vectors of usage and invoices run in a database of their own ({scratch}), which the server "
                    f"refused to make: {error}. Let the user make databases (ALTER ROLE … CREATEDB), or run it "
                    "without DATABASE_URL."
                ) from error
            try:
                switch_to(scratch)
                call_command("migrate", verbosity=0, interactive=False)
                yield
            finally:
                switch_to(own)
                cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        home.close()


def switch_to(database: str) -> None:
    """Let the next query of this process go to another database of the same server."""
    postgresql: Any = connection
    postgresql.close()
    connection.settings_dict["NAME"] = database
