"""What waits to be worked on: messages of the broker, webhooks, and what other apps add."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from amqp import AMQPError
from django.db.models import Min
from kombu.exceptions import OperationalError

from config.celery import app, count_messages
from config.office.links import admin_url
from config.webhooks.models import DeliveryState, WebhookDelivery

logger = logging.getLogger(__name__)

LATE_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Queue:
    """Work that waits. `waiting` is None if it can't be read, `oldest_s` if no one knows how long it has waited."""

    name: str
    waiting: int | None
    oldest_s: float | None = None
    url: str = ""

    @property
    def is_late(self) -> bool:
        return self.oldest_s is not None and self.oldest_s > LATE_AFTER_S


_readers: list[Callable[[datetime], Queue]] = []


def register_queue(reader: Callable[[datetime], Queue]) -> None:
    """Show a queue on the page System. Call once, from `AppConfig.ready`."""
    _readers.append(reader)


def read_queues(*, now: datetime) -> list[Queue]:
    """Return all queues: those of the apps above, the webhooks, the broker's."""
    return [*(reader(now) for reader in _readers), _read_webhooks(now), *_read_broker()]


def _read_webhooks(now: datetime) -> Queue:
    waiting = WebhookDelivery.objects.filter(state=DeliveryState.PENDING, endpoint__is_enabled=True)
    due = waiting.filter(next_try_at__lte=now)
    oldest = due.aggregate(at=Min("next_try_at"))["at"]
    oldest_s = (now - oldest).total_seconds() if oldest else None
    return Queue("Webhook deliveries", waiting.count(), oldest_s, admin_url("config_webhookdelivery_changelist"))


def _read_broker() -> list[Queue]:
    names = [queue.name for queue in app.conf.task_queues]
    try:
        with app.connection_for_read(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1)
            return [Queue(f"Tasks in the queue {name}", count_messages(connection, name)) for name in names]
    except (OperationalError, OSError, AMQPError) as error:
        logger.warning("The broker can't be read: %s", error)
        return [Queue(f"Tasks in the queue {name}", None) for name in names]
