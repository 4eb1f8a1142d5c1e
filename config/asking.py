"""Asking a worker for a task that the schedule would come to anyway."""

import logging
from functools import partial
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def ask_soon(task: "Task[Any, Any]", *arguments: Any, expires: int | None = None) -> None:
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
