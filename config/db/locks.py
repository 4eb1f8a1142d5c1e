"""Locks between processes that nobody waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def hold_if_free(number: int) -> Iterator[bool]:
    """Hold a lock for this connection if nobody else does, and tell. PostgreSQL frees it when the connection ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        is_held = cursor.fetchone()[0]
    try:
        yield is_held
    finally:
        if is_held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
