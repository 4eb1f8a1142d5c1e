"""Workers record how each task ran, so that everyone can see which schedules run, how long they take, and what fails.

Frequent tasks are recorded every ten seconds: their runs add up in memory, and the newest times are written.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery import signals, states
from django.db import Error, connection
from django.utils import timezone

from config.db.errors import describe_error

logger = logging.getLogger(__name__)

PERIOD_S = 10.0
LONGEST_ERROR = 500
STARTED = """
    INSERT INTO config_taskrecord (task, started_at, error, last_s, runs, failures, total_s)
    VALUES (%(task)s, %(started_at)s, '', 0, 0, 0, 0)
    ON CONFLICT (task) DO UPDATE SET started_at = greatest(config_taskrecord.started_at, excluded.started_at)
"""
ENDED = """
    UPDATE config_taskrecord SET
        succeeded_at = greatest(succeeded_at, %(succeeded_at)s),
        failed_at = greatest(failed_at, %(failed_at)s),
        failing_since = CASE WHEN %(is_failing)s THEN coalesce(failing_since, %(failed_at)s) END,
        error = CASE WHEN %(failed_at)s::timestamptz IS NULL THEN error ELSE %(error)s END,
        last_s = %(last_s)s,
        runs = runs + %(runs)s,
        failures = failures + %(failures)s,
        total_s = total_s + %(total_s)s
    WHERE task = %(task)s
"""


@dataclass(slots=True)
class _Tally:
    """What isn't written yet about a task, and when it was written last."""

    values: dict[str, Any] = field(default_factory=dict)
    start_due_at: float = 0.0
    end_due_at: float = 0.0
    was_failing: bool = False

    def add(self, seconds: float, error: str | None) -> None:
        """Add a run that ended now; `error` is None if it succeeded."""
        values, now = self.values, timezone.now()
        values.setdefault("succeeded_at", None)
        values.setdefault("failed_at", None)
        values["last_s"] = seconds
        values["runs"] = values.get("runs", 0) + 1
        values["failures"] = values.get("failures", 0) + (error is not None)
        values["total_s"] = values.get("total_s", 0.0) + seconds
        values["is_failing"] = error is not None
        values["failed_at" if error is not None else "succeeded_at"] = now
        values["error"] = values.get("error", "") if error is None else error[:LONGEST_ERROR]


_tallies: dict[str, _Tally] = {}
_started: dict[str, float] = {}


def note_start(task_id: str, task: Any, **kwargs: Any) -> None:
    """Record that a task starts."""
    _started[task_id] = time.perf_counter()
    tally, now = _tallies.setdefault(task.name, _Tally()), time.monotonic()
    if now >= tally.start_due_at:
        tally.start_due_at = now + PERIOD_S
        with _tolerating(task.name), connection.cursor() as cursor:
            cursor.execute(STARTED, {"task": task.name, "started_at": timezone.now()})


def note_end(task_id: str, task: Any, retval: Any, state: str, **kwargs: Any) -> None:
    """Record how a task ended. A failure, and the success after it, are written at once."""
    began = _started.pop(task_id, None)
    if began is None or state not in (states.SUCCESS, states.FAILURE):
        return
    tally = _tallies.setdefault(task.name, _Tally())
    error = f"{type(retval).__name__}: {describe_error(retval)}" if state == states.FAILURE else None
    tally.add(time.perf_counter() - began, error)
    is_failing = error is not None
    if is_failing != tally.was_failing or time.monotonic() >= tally.end_due_at:
        tally.was_failing = is_failing
        _write(task.name, tally)


def write_rest(**kwargs: Any) -> None:
    """Write what isn't written yet, as a worker's process ends."""
    for name, tally in _tallies.items():
        if tally.values:
            _write(name, tally)


def connect() -> None:
    """Record all tasks of this process."""
    signals.task_prerun.connect(note_start, dispatch_uid="task_records.start")
    signals.task_postrun.connect(note_end, dispatch_uid="task_records.end")
    signals.worker_process_shutdown.connect(write_rest, dispatch_uid="task_records.rest")


def _write(name: str, tally: _Tally) -> None:
    tally.end_due_at = time.monotonic() + PERIOD_S
    with _tolerating(name), connection.cursor() as cursor:
        cursor.execute(ENDED, {"task": name, **tally.values})
        tally.values = {}


@contextmanager
def _tolerating(name: str) -> Iterator[None]:
    """Go on if the database doesn't respond: the task itself says so, too."""
    try:
        yield
    except Error as error:
        logger.warning("The run of %s couldn't be recorded: %s", name, error)
