"""Connect as the owner of the tables, for migrations. Web and workers connect as the application's role."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection

CREDENTIALS = ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


@contextmanager
def as_owner() -> Iterator[None]:
    """Let this process connect as the owner inside the block, to the same database. Not within a transaction."""
    present = {name: connection.settings_dict[name] for name in CREDENTIALS}
    owner = {name: settings.DATABASE_OWNER.get(name, "") for name in CREDENTIALS} | {
        "OPTIONS": settings.DATABASE_OWNER.get("OPTIONS", {})
    }
    _connect_as(owner)
    try:
        yield
    finally:
        _connect_as(present)


def _connect_as(credentials: dict[str, Any]) -> None:
    """Let the next query use these credentials."""
    if all(connection.settings_dict[name] == value for name, value in credentials.items()):
        return
    postgresql: Any = connection
    postgresql.close()
    postgresql.close_pool()
    connection.settings_dict.update(credentials)
