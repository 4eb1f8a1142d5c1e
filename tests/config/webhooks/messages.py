"""Helpers for tests of webhooks: an endpoint, and the messages written for it."""

import json
from typing import Any

from config.webhooks.models import WebhookEndpoint, WebhookMessage


def make_endpoint(**values: Any) -> WebhookEndpoint:
    """Create an endpoint that receives all events by default."""
    return WebhookEndpoint.objects.create(**{"url": "https://shop.test/hooks"} | values)


def sent_messages() -> list[tuple[str, str]]:
    """Return the event type and object ID of every message, in order."""
    return [(message.event_type, message.object_id) for message in WebhookMessage.objects.order_by("pk")]


def last_body(event: str) -> Any:
    """Return the body of the last message of an event type."""
    return json.loads(WebhookMessage.objects.filter(event_type=event).latest("pk").body)
