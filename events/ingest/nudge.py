"""Ask a worker to count new events at once. Only a courtesy: the scheduler's tick finds them anyway.

A thread of its own talks to the broker, so that a slow or broken one can't hold an answer.
"""

import logging
import threading
import time

from kombu.exceptions import OperationalError

from config.celery import app
from config.jobs import Background

logger = logging.getLogger(__name__)

TASK = "events.tasks.process_inbox"
EVERY_S = 0.2
EXPIRES_S = 10
ENOUGH_WAITING = 5  # with so many messages waiting the workers are busy, or gone


def nudge() -> None:
    """Have the worker told soon, at most every 200 ms from this process. Never waits, never fails."""
    if not _wanted.is_set():
        _wanted.set()
        _background.ensure_running()


def send() -> bool:
    """Put the task on the queue, unless enough is waiting there; tell whether it was put. May block, may raise."""
    with app.connection_for_write(connect_timeout=1) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        queue = connection.default_channel.queue_declare(queue=app.conf.task_default_queue)  # type: ignore[attr-defined]
        if queue.message_count >= ENOUGH_WAITING:
            return False
        app.send_task(TASK, connection=connection, expires=EXPIRES_S, retry=False)
        return True


def _run() -> None:
    while _wanted.wait():
        _wanted.clear()
        try:
            send()
        except (OperationalError, OSError) as error:
            logger.debug("The worker couldn't be nudged: %s", error)
        time.sleep(EVERY_S)


_wanted = threading.Event()
_background = Background("nudge", _run)
