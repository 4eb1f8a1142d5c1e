"""Work that an answer needn't wait for, in a daemon thread of the process."""

import threading
from collections.abc import Callable


class Background:
    """Run a function in a thread, one at a time. It is started when first asked for, and again if it has ended."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def ensure_running(self) -> None:
        if self._is_running():
            return
        with self._starting:
            if not self._is_running():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()
