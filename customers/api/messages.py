"""Render subscriptions for webhook messages."""

from collections.abc import Sequence
from datetime import datetime

from config.webhooks.outbox import Payload, register_renderer
from customers.api.serializers.subscriptions import serialize_subscriptions
from customers.models import Subscription


def render_subscriptions(ids: Sequence[int], at: datetime) -> Payload:
    """Render subscriptions as the API does, with their status at that time."""
    rows = Subscription.objects.filter(pk__in=ids).select_related("customer")
    return [(subscription["id"], subscription) for subscription in serialize_subscriptions(rows, now=at)]


def register() -> None:
    """Register the renderers of this app's objects."""
    register_renderer("subscription", render_subscriptions)
