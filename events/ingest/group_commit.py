"""Share a commit between concurrent requests, because waiting for the disk is most of the cost of a small request.

A thread that finds no other thread writing becomes the leader: it writes all gathered rows, then names a thread that
arrived in the meantime as the next leader. So a single request never waits for others, and concurrent requests share
a commit.
"""

import threading
from collections.abc import Callable


class _Waiter:
    """A caller's rows, and whether they were written."""

    __slots__ = ("error", "leads", "rows", "wakeup", "written")

    def __init__(self, rows: bytes) -> None:
        self.rows = rows
        self.written = False
        self.leads = False
        self.error: Exception | None = None
        self.wakeup = threading.Lock()
        self.wakeup.acquire()


class NotWritten(Exception):
    """The thread that wrote these rows failed unexpectedly; the error was raised in that thread."""


class GroupCommit:
    """Pass the rows of concurrent callers to `store` in one call.

    If `store` raises `refused`, because it can't store the content, each caller's rows are stored separately, so that
    only the rows at fault are refused. If it raises `failed`, every caller gets the error.
    """

    def __init__(self, store: Callable[[bytes], None], *, refused: type[Exception], failed: type[Exception]) -> None:
        self._store = store
        self._refused = refused
        self._failed = failed
        self._lock = threading.Lock()
        self._gathered: list[_Waiter] = []
        self._busy = False

    def write(self, rows: bytes) -> None:
        """Return once the rows are committed. Raises the error of `store` for these rows, or NotWritten."""
        waiter = _Waiter(rows)
        with self._lock:
            self._gathered.append(waiter)
            waiter.leads, self._busy = not self._busy, True
        if not waiter.leads:
            waiter.wakeup.acquire()
        if waiter.leads:
            self._lead()
        if waiter.error is not None:
            raise waiter.error
        if not waiter.written:
            raise NotWritten

    def _lead(self) -> None:
        """Write the gathered rows, including this thread's, then name the next leader and wake the other threads."""
        with self._lock:
            group, self._gathered = self._gathered, []
        try:
            self._write_group(group)
        finally:
            with self._lock:
                successor = self._gathered[0] if self._gathered else None
                self._busy = successor is not None
            if successor is not None:
                successor.leads = True
                successor.wakeup.release()
            for waiter in group:
                if not waiter.leads:
                    waiter.wakeup.release()

    def _write_group(self, group: list[_Waiter]) -> None:
        try:
            self._store(b"".join([waiter.rows for waiter in group]))
        except self._refused as error:
            if len(group) == 1:
                group[0].error = error
                return
            for waiter in group:
                self._write_group([waiter])
        except self._failed as error:
            for waiter in group:
                waiter.error = error
        else:
            for waiter in group:
                waiter.written = True
