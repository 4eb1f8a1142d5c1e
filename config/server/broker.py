"""The message broker without Redis: kombu's filesystem transport, made safe for several processes.

Kombu's transport creates a message's file before writing it, so that a reader can get half a message, and moves it
through the system's temporary folder, which copies it if that folder is on another disk. It writes the table of an
exchange's queues the same way, and a process that reads half a table crashes.

Here, messages and tables are written to a draft that is renamed, so that they appear complete, and the reader whose
rename succeeds receives the message. A message is lost if its worker is killed. No task depends on a single message,
since every task processes all waiting work and is enqueued again by the schedule. A file that isn't a message is moved
to the folder `broken`, and the reader goes on with the next one at once.
"""

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

MAX_WAIT_S = 0.25
BROKEN = "broken"
logger = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Store each message in its own file: `<milliseconds>_<uuid>.<queue>.msg`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.data_folder_out, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # kombu's signature
        name = f"{time.time_ns() // 1_000_000:015d}_{uuid.uuid4().hex}.{queue}.msg"
        folder = Path(self.data_folder_out)
        draft = folder / f".{name}"
        draft.write_text(dumps(payload))
        draft.rename(folder / name)

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:  # type: ignore[override]  # kombu's type
        """Return the queues that receive the exchange's messages."""
        try:
            rows = loads(self._table_path(exchange).read_text())
        except FileNotFoundError:
            return []
        return [filesystem.exchange_queue_t(*row) for row in rows]

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._lock_tables():
            rows = self.get_table(exchange)
            if row not in rows:
                self._write_table(exchange, [row, *rows])

    def _delete(
        self, queue: str, exchange: str, routing_key: str | None, pattern: str | None, *_: Any, **__: Any
    ) -> None:
        self._purge(queue)
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._lock_tables():
            rows = self.get_table(exchange)
            if row in rows:
                self._write_table(exchange, [other for other in rows if other != row])

    def _table_path(self, exchange: str) -> Path:
        return Path(self._exchange_file(exchange))  # type: ignore[attr-defined]  # missing from kombu's types

    def _write_table(self, exchange: str, rows: Sequence[filesystem.exchange_queue_t]) -> None:
        path = self._table_path(exchange)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(dumps(rows))
        draft.rename(path)

    @contextmanager
    def _lock_tables(self) -> Iterator[None]:
        with Path(self.control_folder, ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, also if the process is killed
            yield

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        suffix = f".{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.startswith(".") or name.partition(".")[2] != suffix[1:]:
                continue
            claimed = Path(self.data_folder_in, f".{name}.taken")
            try:
                Path(self.data_folder_in, name).rename(claimed)
            except FileNotFoundError:
                continue  # another worker has claimed it
            try:
                message = _read_message(claimed)
            except (ValueError, RecursionError) as error:
                logger.error("%s isn't a message (%s). It is set aside.", _set_aside(claimed, name), error)
                continue
            claimed.unlink()
            return message
        raise Empty


def list_broken(folder: Path) -> list[Path]:
    """List the files of a message folder that were set aside, the oldest first."""
    return sorted((folder / BROKEN).glob("*.msg"))


def _set_aside(claimed: Path, name: str) -> Path:
    folder = claimed.parent / BROKEN
    folder.mkdir(exist_ok=True)
    return claimed.rename(folder / name)


def _read_message(path: Path) -> Any:
    """Read a message's file. Raises ValueError if it isn't a message, which would end the worker."""
    message = loads(path.read_text())
    properties = message.get("properties") if isinstance(message, dict) else None
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_info"), dict):
        raise ValueError("it has no delivery information")
    if "delivery_tag" not in properties or not isinstance(message.get("body"), str):
        raise ValueError("it has no body or no tag")
    return message


class Transport(filesystem.Transport):
    """Kombu's filesystem transport with the channel above. `polling_interval` is how long an idle worker waits."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Wait for a message, but return to the worker's loop often enough to notice a stop at once."""
        super().drain_events(connection, timeout=min(timeout or MAX_WAIT_S, MAX_WAIT_S))
