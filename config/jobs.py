"""Background work: enqueue tasks, run one background thread, and pause garbage collection during a job."""

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
    """Enqueue a task once the transaction is committed. Without a broker, the schedule enqueues the task later.

    The message expires after `expires` seconds.
    """
    options: dict[str, Any] = {} if expires is None else {"expires": expires}
    transaction.on_commit(partial(_enqueue, task, arguments, options))


def _enqueue(task: "Task[Any, Any]", arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    try:
        task.apply_async(args=arguments, retry=False, **options)
    except (OperationalError, OSError) as error:
        log.warning("The task %s couldn't be enqueued and waits for the schedule: %s", task.name, error)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection during a bounded job. Nested calls change nothing.

    Such a job creates many objects that stay in use until it ends, so a collection would find nothing to free.
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
    """Run a function in one background thread, which is started on demand, and again if it has ended."""

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
