"""Work as the owner of the tables. The tests run as the application's role, as web and workers do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

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

    They connect as the owner, who creates the test database, and who restores it after tests with transactions.
    """
    if not is_restricted():
        yield
        return
    connection.close()
    options = connection.settings_dict["OPTIONS"]["options"]
    connection.settings_dict["OPTIONS"]["options"] = f"{options} -c role={settings.DATABASE_ROLE}"
    yield
    connection.settings_dict["OPTIONS"]["options"] = options
