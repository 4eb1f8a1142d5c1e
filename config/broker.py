"""The broker of a machine without Redis: kombu's filesystem transport, made safe for several processes.

The stock transport shows a message before it is written, so a reader may take half of one, and parks it in the
system's temporary folder on the way, a copy when that is another disk. Here a message appears whole, and the one
reader whose rename succeeds has it. A worker killed with a message in hand loses it: every task of ours is a
sweep that the next tick repeats, so nothing depends on a message.
"""

import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

LONGEST_WAIT_S = 0.25


class Channel(filesystem.Channel):
    """Keep each message in a file of its own: `<milliseconds>_<uuid>.<queue>.msg`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.data_folder_out, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu names it
        name = f"{time.time_ns() // 1_000_000:015d}_{uuid.uuid4().hex}.{queue}.msg"
        folder = Path(self.data_folder_out)
        draft = folder / f".{name}"
        draft.write_text(dumps(payload))
        draft.rename(folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        suffix = f".{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.startswith(".") or name.partition(".")[2] != suffix[1:]:
                continue
            claimed = Path(self.data_folder_in, f".{name}.taken")
            try:
                Path(self.data_folder_in, name).rename(claimed)
            except FileNotFoundError:
                continue  # another worker was quicker
            try:
                return loads(claimed.read_text())
            finally:
                claimed.unlink()
        raise Empty


class Transport(filesystem.Transport):
    """kombu's filesystem transport with the channel above; `polling_interval` is how long an idle worker waits."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Wait for a message, but return to the worker's loop often enough that a stop is noticed at once."""
        super().drain_events(connection, timeout=min(timeout or LONGEST_WAIT_S, LONGEST_WAIT_S))
