"""Share a commit between requests that arrive at the same time: waiting for the disk is most of what a small one costs.

Whoever finds nobody writing becomes the leader: it writes what has gathered, and the next leader is one of those who
came meanwhile. So a lone request never waits for others, and a crowd pays for one commit.
"""

import threading
from collections.abc import Callable


class _Waiter:
    """One caller's rows, and what became of them."""

    __slots__ = ("error", "leads", "rows", "told", "written")

    def __init__(self, rows: bytes) -> None:
        self.rows = rows
        self.written = False
        self.leads = False
        self.error: Exception | None = None
        self.told = threading.Lock()
        self.told.acquire()


class NotWritten(Exception):
    """The thread that wrote for this one failed unexpectedly; its own caller has the reason."""


class GroupCommit:
    """Hand the rows of concurrent callers to `store` in one call.

    `store` raises `refused` for content it can't keep: then each caller's rows are stored apart, so that only the
    guilty one's are refused. When it raises `failed`, that is every caller's error.
    """

    def __init__(self, store: Callable[[bytes], None], *, refused: type[Exception], failed: type[Exception]) -> None:
        self._store = store
        self._refused = refused
        self._failed = failed
        self._lock = threading.Lock()
        self._gathered: list[_Waiter] = []
        self._busy = False

    def write(self, rows: bytes) -> None:
        """Return once the rows are committed. Raises what `store` raised for them, or NotWritten."""
        waiter = _Waiter(rows)
        with self._lock:
            self._gathered.append(waiter)
            waiter.leads, self._busy = not self._busy, True
        if not waiter.leads:
            waiter.told.acquire()
        if waiter.leads:
            self._lead()
        if waiter.error is not None:
            raise waiter.error
        if not waiter.written:
            raise NotWritten

    def _lead(self) -> None:
        """Write what has gathered, this thread's rows among it, then tell everybody and name the next leader."""
        with self._lock:
            group, self._gathered = self._gathered, []
        try:
            self._write_group(group)
        finally:
            with self._lock:
                heir = self._gathered[0] if self._gathered else None
                self._busy = heir is not None
            if heir is not None:
                heir.leads = True
                heir.told.release()
            for waiter in group:
                if not waiter.leads:
                    waiter.told.release()

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
