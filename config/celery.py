"""The Celery application. Worker: `celery -A config worker`; scheduler: `celery -A config beat`."""

import gc
import os
from functools import cached_property
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from kombu.transport import TRANSPORT_ALIASES

from config import timeouts

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
TRANSPORT_ALIASES["folder"] = "config.server.broker:Transport"


class Application(Celery):
    """Celery with a beat that ends in order."""

    @cached_property
    def Beat(self) -> Any:  # noqa: N802  Celery's name
        return self.subclass_with_self("config.server.beat:Beat")  # type: ignore[arg-type]  # or its name


app = Application("countinghouse")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add("config.monitoring.worker:WorkerHeartbeat")  # by name: it needs Django's apps


@worker_process_init.connect
def collect_less_often(**kwargs: Any) -> None:
    """Collect cyclic garbage every 50,000 objects: a batch creates many more, and nearly all are freed without it."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@worker_process_init.connect
def limit_waiting(**kwargs: Any) -> None:
    """Let a task wait for the database only so long, so that a lock that someone forgot doesn't stop every worker."""
    timeouts.use(timeouts.TASKS)


def count_messages(connection: Any, queue: str) -> int:
    """Return how many messages wait in a queue, which is created as workers do if it doesn't exist yet."""
    declared: Any = app.amqp.queues[queue](connection.default_channel).queue_declare()
    count: int = declared.message_count
    return count
