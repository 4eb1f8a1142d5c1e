"""Ask a worker to process new events immediately. Otherwise the next scheduled run processes them.

A background thread talks to the broker, so that a slow or broken broker doesn't delay responses.
"""

import logging
import threading
import time

from amqp import AMQPError
from kombu.exceptions import OperationalError

from config.celery import app, count_messages
from config.jobs import Background

logger = logging.getLogger(__name__)

TASK = "events.tasks.process_inbox"
EVERY_S = 0.2
EXPIRES_S = 10
MAX_WAITING = 5  # with more messages waiting, the workers are busy or down


def nudge() -> None:
    """Have a worker asked soon, at most every 200 ms from this process. Never waits, never fails."""
    if not _requested.is_set():
        _requested.set()
        _background.ensure_running()


def send() -> bool:
    """Enqueue the task unless enough messages are waiting; return whether it was enqueued. May block or raise."""
    with app.connection_for_write(connect_timeout=1) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        if count_messages(connection, app.conf.task_default_queue) >= MAX_WAITING:
            return False
        app.send_task(TASK, connection=connection, expires=EXPIRES_S, retry=False)
        return True


def _run() -> None:
    while _requested.wait():
        _requested.clear()
        try:
            send()
        except (OperationalError, OSError, AMQPError) as error:
            logger.debug("The worker couldn't be nudged: %s", error)
        time.sleep(EVERY_S)


_requested = threading.Event()
_background = Background("nudge", _run)
