"""What tests of messages ask: who listens, what was told, and what a message said."""

import json
from typing import Any

from config.webhooks.models import WebhookEndpoint, WebhookMessage


def make_endpoint(**given: Any) -> WebhookEndpoint:
    """Make an endpoint that is told of everything, unless told otherwise."""
    return WebhookEndpoint.objects.create(**{"url": "https://shop.test/hooks"} | given)


def told() -> list[tuple[str, str]]:
    """Return what was told, in its order: the name, and the id of what it is about."""
    return [(message.event_type, message.object_id) for message in WebhookMessage.objects.order_by("pk")]


def body_of(event: str) -> Any:
    """Return what the last message of a name says."""
    return json.loads(WebhookMessage.objects.filter(event_type=event).latest("pk").body)
