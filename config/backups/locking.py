"""Backups are made, verified and deleted by one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from config.backups.programs import BackupFailed, connect

LOCK = 7_301_030


@contextmanager
def only_one() -> Iterator[None]:
    """Hold the lock of backups inside the block. Raises `BackupFailed` if another process has it.

    The server releases the lock of a process that is killed.
    """
    with connect() as server:
        row = server.execute(b"SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
        if row != (True,):
            raise BackupFailed("Another backup is being made or verified.")
        yield
