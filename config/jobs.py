"""Background work: enqueue tasks, do long work in short turns and chunks, run one thread, pause garbage collection."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from celery import Task
from django.db import connection, transaction
from django.db.models import Model, QuerySet
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

LONGEST_RUN_S = 30  # seconds of a worker's time that one task takes before it makes way for others
CUT_INTO_RANGES = """
    SELECT min(id), max(id), count(*)
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS chunk FROM ({ids}) AS selected (id)) AS numbered
    GROUP BY chunk ORDER BY chunk
"""


class IdRange(NamedTuple):
    """A range of ids from `first_id` to `last_id`, both included; `size` ids in between were selected."""

    first_id: int
    last_id: int
    size: int


def enqueue_on_commit(task: "Task[Any, Any]", *arguments: Any, expires: int | None = None) -> None:
    """Enqueue a task once the transaction is committed. Without a broker nothing fails: the task's schedule runs it.

    A message that waited longer than `expires` seconds is dropped.
    """
    options: dict[str, Any] = {} if expires is None else {"expires": expires}
    transaction.on_commit(partial(_enqueue, task, arguments, options))


def _enqueue(task: "Task[Any, Any]", arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    try:
        task.apply_async(args=arguments, retry=False, **options)
    except (OperationalError, OSError) as error:
        log.warning("%s couldn't be enqueued; its schedule will run it: %s", task.name, error)


def run_for_a_turn(steps: Iterable[int], continue_later: Callable[[], None]) -> int:
    """Take steps, each a transaction, for at most half a minute; return the sum of what they return.

    If the time is over before the last step, `continue_later` enqueues the task again, so that other tasks have
    their turn in between.
    """
    total, deadline = 0, time.monotonic() + LONGEST_RUN_S
    for result in steps:
        total += result
        if time.monotonic() >= deadline:
            continue_later()
            break
    return total


def cut_into_ranges(ids: QuerySet[Any, Any], size: int) -> list[IdRange]:
    """Cut the ids that a query selects into ranges of `size` ids, in order. One statement; the ids aren't loaded.

    Customers 1, 2, 5, 7, 8 in ranges of two are 1 to 2, 5 to 7, and 8 to 8.
    """
    query, parameters = ids.order_by().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(CUT_INTO_RANGES.format(ids=query), [size, *parameters])
        return [IdRange(*row) for row in cursor.fetchall()]


def claim[Row: Model](rows: QuerySet[Row]) -> Row | None:
    """Lock the first unfinished row that no other worker holds, until the transaction ends; `None` without one.

    A worker that is killed releases its row, and another worker claims it.
    """
    return rows.filter(finished_at=None).select_for_update(skip_locked=True, of=("self",)).first()


def percent_done(done: int, total: int) -> int:
    """Return the progress in whole percent, rounded down; with nothing to do it is 100.

    >>> percent_done(2, 3)
    66
    """
    return min(100, 100 * done // total) if total else 100


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection during a bounded piece of work in a process of its own.

    Nearly all of the work's many objects are freed without it, so a collection would search them in vain. A call
    within another call changes nothing.
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
    """Run a function in one thread. The thread starts when first needed, and again if it has ended."""

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
