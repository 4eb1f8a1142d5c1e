"""Emails about an outage of the database, during which no alarm can be stored.

The web processes of a machine share a file, so that one of them sends the email. If the file can't be written, for
example because the disk is full, each process remembers the outage on its own: two emails are better than none.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path

from django.conf import settings

from config.alarms.mail import REMINDED_AFTER, mail_directly
from config.alarms.pace import paced

logger = logging.getLogger(__name__)

MAILED_AFTER = paced(seconds=60)
CHECK_POSTGRES = "Check that PostgreSQL runs, that its disk isn't full, and that web can reach it over the network."
TEXT = """PostgreSQL hasn't responded since {since:%Y-%m-%d %H:%M:%S} UTC. Events are refused with 503.

The error: {error}

What to do: {what_to_do}
"""


class Outage:
    """Since when the database hasn't responded and, after it, when the last email about that was sent."""

    def __init__(self) -> None:
        self._times: list[datetime] = []
        self._is_shared = True

    def note(self, error: str, *, now: datetime) -> bool:
        """Note that the database doesn't respond. Send an email after a minute and then once a day; return whether so.

        An email that can't be sent is due again the next time.
        """
        with self._open_file() as file:
            times = max(_read(file), self._times) or [now]
            is_mailed = now >= _due_at(times) and _mail_start(times[0], error)
            self._times = [times[0], now] if is_mailed else times
            self._is_shared = _write(file, self._times)
        return is_mailed

    def end(self) -> bool:
        """Note that the database responds. Send an email if one was sent about the outage; return whether so."""
        own = [] if self._is_shared else self._times
        self._times, self._is_shared = [], True
        times = max(_take(), own)
        if len(times) < 2:
            return False
        since = f"{times[0]:%Y-%m-%d %H:%M:%S} UTC"
        return mail_directly("Cleared: PostgreSQL responds again", f"PostgreSQL hadn't responded since {since}.\n")

    @contextmanager
    def _open_file(self) -> Iterator[FileIO | None]:
        """Yield the locked file, or None if it can't be opened."""
        path = _path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)  # with a buffer, closing would try again to write
        except OSError as error:
            logger.error("%s can't be opened (%s). Each web process sends its own email about the outage.", path, error)
            yield None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _path() -> Path:
    folder: Path = settings.DATA_DIR
    return folder / "alive" / "outage"


def _due_at(times: list[datetime]) -> datetime:
    wait: timedelta = MAILED_AFTER if len(times) == 1 else REMINDED_AFTER
    return times[-1] + wait


def _mail_start(since: datetime, error: str) -> bool:
    text = TEXT.format(since=since, error=error.strip(), what_to_do=CHECK_POSTGRES)
    return mail_directly("Alarm: PostgreSQL can't be reached", text)


def _read(file: FileIO | None) -> list[datetime]:
    if file is None:
        return []
    file.seek(0)
    return _parse(file.read().decode())


def _parse(text: str) -> list[datetime]:
    try:
        return [datetime.fromisoformat(line) for line in text.split()]
    except ValueError:  # the disk was full when it was written
        return []


def _write(file: FileIO | None, times: list[datetime]) -> bool:
    """Replace the file's content; return whether that was possible."""
    if file is None:
        return False
    try:
        file.truncate(0)
        file.write("\n".join(time.isoformat() for time in times).encode())
    except OSError as error:
        logger.error("%s can't be written: %s", file.name, error)
        return False
    return True


def _take() -> list[datetime]:
    """Remove the file and return its times; none if there is none, or another process was faster."""
    path = _path()
    try:
        text = path.read_text()
        path.unlink()
    except OSError:
        return []
    return _parse(text)
