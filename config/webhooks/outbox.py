"""Write webhook messages, in the transaction of the change that they report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import connection
from django.db.models import Q

from config.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from config.webhooks.names import WebhookEvent

type Payload = Iterable[tuple[str, Mapping[str, Any]]]
type Renderer = Callable[[Sequence[Any], datetime], Payload]

_renderers: dict[str, Renderer] = {}


class NotInTransaction(Exception):
    """`emit` was called outside of the transaction whose change it reports."""


def register_renderer(object_type: str, render: Renderer) -> None:
    """Register how objects of a type are shown in messages. Each app's `api/messages.py` does so in `AppConfig.ready`.

    `render` takes what `emit` was given, and its `at`; it returns each object's public id and the object as the API
    shows it, in a fixed number of queries.
    """
    _renderers[object_type] = render


def emit(event: WebhookEvent, object_type: str, objects: Sequence[Any], *, at: datetime) -> int:
    """Write one message per object for every enabled endpoint that receives the event; return the number of messages.

    `objects` are primary keys of saved rows, or values where the object isn't a row. They are rendered only if an
    endpoint receives the event. Three statements, whatever the number of objects and endpoints; one if no endpoint
    does. The messages are part of the open transaction: they are sent once it commits.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(event)
    endpoints = list_receivers(event)
    if not endpoints or not objects:
        return 0
    payload = _renderers[object_type](objects, at)
    messages = [message_of(event, object_type, object_id, body, at=at) for object_id, body in payload]
    send_to(endpoints, messages)
    return len(messages)


def list_receivers(event: WebhookEvent) -> list[WebhookEndpoint]:
    """Return the enabled endpoints that receive the event."""
    receives = Q(event_types=[]) | Q(event_types__contains=[event])
    return list(WebhookEndpoint.objects.filter(receives, is_enabled=True).order_by("pk"))


def message_of(
    event: WebhookEvent, object_type: str, object_id: str, payload: Mapping[str, Any], *, at: datetime
) -> WebhookMessage:
    """Return an unsaved message: `{"event_type", "timestamp", "<object type>": {...}}`."""
    body = {"event_type": event, "timestamp": at, object_type: payload}
    text = orjson.dumps(body, default=str, option=orjson.OPT_UTC_Z).decode()
    return WebhookMessage(event_type=event, object_id=object_id, body=text)


def send_to(endpoints: Iterable[WebhookEndpoint], messages: list[WebhookMessage]) -> list[WebhookDelivery]:
    """Save the messages, with a delivery to each of the endpoints."""
    WebhookMessage.objects.bulk_create(messages, batch_size=1_000)
    deliveries = [WebhookDelivery(message=message, endpoint=endpoint) for message in messages for endpoint in endpoints]
    return WebhookDelivery.objects.bulk_create(deliveries, batch_size=1_000)
