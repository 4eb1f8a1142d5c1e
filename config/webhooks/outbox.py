"""Saying that something happened: one call, in the transaction of the change itself."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from django.db import connection
from django.db.models import Q

from config.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from config.webhooks.names import WebhookEvent

type Told = Iterable[tuple[str, Mapping[str, Any]]]


class NotInTransaction(Exception):
    """A message was to be written outside of the transaction that it tells of."""


def emit(event: WebhookEvent, entity: str, told: Callable[[], Told], *, at: datetime) -> int:
    """Write one message per object for every enabled endpoint that wants to be told; return how many messages.

    `told` gives each object's public id and the object as the API shows it; it is asked only when somebody wants to
    know. Three statements, whatever the number of objects and endpoints; one while nobody listens. The messages are
    part of the open transaction: they are sent when it commits, and never were when it doesn't.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(event)
    wanted = Q(event_types=[]) | Q(event_types__contains=[event])
    endpoints = list(WebhookEndpoint.objects.filter(wanted, is_enabled=True).order_by("pk"))
    if not endpoints:
        return 0
    messages = [message_of(event, entity, object_id, shown, at=at) for object_id, shown in told()]
    send_to(endpoints, messages)
    return len(messages)


def message_of(
    event: WebhookEvent, entity: str, object_id: str, shown: Mapping[str, Any], *, at: datetime
) -> WebhookMessage:
    """Make an unsaved message: `{"event_type", "timestamp", "<entity>": {...}}`."""
    body = {"event_type": event, "timestamp": at, entity: shown}
    written = orjson.dumps(body, default=str, option=orjson.OPT_UTC_Z).decode()
    return WebhookMessage(event_type=event, object_id=object_id, body=written)


def send_to(endpoints: Iterable[WebhookEndpoint], messages: list[WebhookMessage]) -> list[WebhookDelivery]:
    """Save messages, each to be delivered to every one of the endpoints."""
    WebhookMessage.objects.bulk_create(messages, batch_size=1_000)
    deliveries = [WebhookDelivery(message=message, endpoint=each) for message in messages for each in endpoints]
    return WebhookDelivery.objects.bulk_create(deliveries, batch_size=1_000)
