"""Work as the owner of the tables. The tests run as the application's role, as web and workers do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from config.db.privileges import is_restricted


@contextmanager
def as_owner() -> Iterator[None]:
    """Let the test's connection act as the owner inside the block."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        yield
        cursor.execute("RESET ROLE")


def owner_url(url: str) -> str:
    """Return the URL with which the owner connects to the same database as `url`."""
    return urlunsplit(urlsplit(os.environ["DATABASE_OWNER_URL"])._replace(path=urlsplit(url).path))


@contextmanager
def acting_as_application() -> Iterator[None]:
    """Let all connections of this run act as the application's role inside the block.

    They connect as the owner, who creates the test database, and who empties tables after tests with transactions.
    """
    if not is_restricted():
        yield
        return
    connection.close()
    options = connection.settings_dict["OPTIONS"]["options"]
    connection.settings_dict["OPTIONS"]["options"] = f"{options} -c role={settings.DATABASE_ROLE}"
    case_type: Any = TransactionTestCase
    empty_tables = case_type._fixture_teardown

    def empty_tables_as_owner(case: Any) -> None:
        with as_owner():
            empty_tables(case)

    case_type._fixture_teardown = empty_tables_as_owner
    yield
    case_type._fixture_teardown = empty_tables
    connection.settings_dict["OPTIONS"]["options"] = options
