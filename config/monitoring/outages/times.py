"""Since when a fault lasts and when its last notice was sent, where PostgreSQL can't keep that.

The web processes of a machine share a file, so that one of them sends the notice. The file is made beforehand and
overwritten in place, which needs no space on a full disk. If that fails, for example because the folder can't be
written, each process remembers the fault on its own: two emails are better than none.
"""

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)

REMINDED_AFTER = timedelta(hours=24)
SIZE = 128  # of the file, whatever it says: two times take 65 bytes


class FaultTimes:
    """The start of a fault and, after it, when the last notice was sent. The name is that of the file."""

    def __init__(self, name: str, first_after: timedelta) -> None:
        self._name = name
        self._first_after = first_after
        self._times: list[datetime] = []
        self._is_shared = True

    def prepare(self) -> None:
        """Make the file while the disk has space, unless there is one."""
        with self._open_file() as file:
            if file and not file.read(1):
                _write(file, [])

    def note(self, send: Callable[[datetime], bool], *, now: datetime) -> bool:
        """Note that the fault lasts. Send a notice after a while and then once a day; return whether one was sent.

        `send` is called with the start of the fault. A notice that can't be sent is due again the next time.
        """
        with self._open_file() as file:
            times = max(_read(file), self._times) or [now]
            is_sent = now >= self._due_at(times) and send(times[0])
            self._times = [times[0], now] if is_sent else times
            self._is_shared = _write(file, self._times)
        return is_sent

    def read(self) -> list[datetime]:
        """Return the times; none if there is no fault."""
        try:
            shared = _parse(self._path.read_bytes())
        except OSError:
            shared = []
        return max(shared, [] if self._is_shared else self._times)

    def end(self) -> list[datetime]:
        """Note that the fault is over. Return the times; none without a fault, or if another process was faster."""
        if not self.read():
            self._times, self._is_shared = [], True
            return []
        with self._open_file() as file:
            times = max(_read(file), [] if self._is_shared else self._times)
            _write(file, [])
        self._times, self._is_shared = [], True
        return times

    @property
    def _path(self) -> Path:
        folder: Path = settings.DATA_DIR
        return folder / "watcher" / self._name

    def _due_at(self, times: list[datetime]) -> datetime:
        return times[-1] + (self._first_after if len(times) == 1 else REMINDED_AFTER)

    @contextmanager
    def _open_file(self) -> Iterator[FileIO | None]:
        """Yield the locked file, or None if it can't be opened."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            file = self._path.open("r+b", buffering=0)  # with a buffer, closing would try again to write
        except OSError as error:
            logger.error("%s can't be opened (%s). Each web process sends its own notices.", self._path, error)
            yield None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _read(file: FileIO | None) -> list[datetime]:
    if file is None:
        return []
    file.seek(0)
    return _parse(file.read())


def _parse(content: bytes) -> list[datetime]:
    try:
        return [datetime.fromisoformat(line) for line in content.decode().split()]
    except ValueError:  # the disk was full when it was written
        return []


def _write(file: FileIO | None, times: list[datetime]) -> bool:
    """Overwrite the file's content; return whether that was possible."""
    if file is None:
        return False
    content = "\n".join(time.isoformat() for time in times).ljust(SIZE)
    try:
        file.seek(0)
        return file.write(content.encode()) == SIZE
    except OSError as error:
        logger.error("%s can't be written: %s", file.name, error)
        return False
