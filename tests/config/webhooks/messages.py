"""Helpers for tests of webhook messages."""

import json
from typing import Any

from config.webhooks.models import WebhookEndpoint, WebhookMessage


def make_endpoint(**values: Any) -> WebhookEndpoint:
    """Create an endpoint that receives all events by default."""
    return WebhookEndpoint.objects.create(**{"url": "https://shop.test/hooks"} | values)


def list_messages() -> list[tuple[str, str]]:
    """Return the event type and object id of every message, in order."""
    return [(message.event_type, message.object_id) for message in WebhookMessage.objects.order_by("pk")]


def read_message(event: str) -> Any:
    """Return the body of the last message of an event type."""
    return json.loads(WebhookMessage.objects.filter(event_type=event).latest("pk").body)
