"""Background work: asking a worker for a task, one background thread, no garbage collection within a bounded job."""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def enqueue_on_commit(task: "Task[Any, Any]", *arguments: Any, expires: int | None = None) -> None:
    """Ask a worker for a task once this is committed. Without a broker nothing fails: the schedule asks later.

    `expires` is how many seconds the message is worth something.
    """
    options: dict[str, Any] = {} if expires is None else {"expires": expires}
    transaction.on_commit(partial(_ask, task, arguments, options))


def _ask(task: "Task[Any, Any]", arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    try:
        task.apply_async(args=arguments, retry=False, **options)
    except (OperationalError, OSError) as error:
        log.warning("No worker could be asked for %s, the schedule will: %s", task.name, error)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Look for none meanwhile: for a bounded piece of work in a process of its own.

    Nearly all of its many objects go by themselves when it ends, and until then looking through them finds nothing.
    Within another call it changes nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
