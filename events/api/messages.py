"""Render causes of problems and conflicts, usage alerts and API keys, for webhook messages."""

from collections.abc import Sequence
from datetime import datetime

from config.webhooks.outbox import Payload, register_renderer
from events.alerts.usage import Reached
from events.api.keys import KeyOut, keys
from events.api.serializers.conflicts import ConflictOut
from events.api.serializers.problems import CauseOut
from events.fixing.causes import known_names
from events.ledger.causes import Cause
from events.ledger.conflicts import ConflictCause


def render_causes(causes: Sequence[Cause], at: datetime) -> Payload:
    """Render causes of problems as the API does."""
    context = {"names": known_names()}
    return [(str(cause.reason), CauseOut(cause, context=context).data) for cause in causes]


def render_conflicts(causes: Sequence[ConflictCause], at: datetime) -> Payload:
    """Render causes of conflicts as the API does."""
    return [(cause.difference.value, ConflictOut(cause).data) for cause in causes]


def render_keys(ids: Sequence[int], at: datetime) -> Payload:
    """Render API keys as the API does, without their secrets."""
    return [(key.public_id, KeyOut(key).data) for key in keys().filter(pk__in=ids)]


def render_alerts(reached: Sequence[Reached], at: datetime) -> Payload:
    """Render usage alerts with the quantity and the billing period in which the threshold was reached."""
    for firing in reached:
        alert, subscription = firing.alert, firing.alert.subscription
        yield (
            alert.public_id,
            {
                "alert_id": alert.public_id,
                "subscription_id": subscription.public_id,
                "customer_id": subscription.customer.public_id,
                "external_customer_id": subscription.customer.external_id,
                "feature_id": alert.feature.public_id,
                "threshold": f"{alert.threshold:f}",
                "quantity": f"{firing.quantity:f}",
                "period_start": firing.period.start,
                "period_end": firing.period.end,
            },
        )


def register() -> None:
    """Register the renderers of this app's objects."""
    register_renderer("problem", render_causes)
    register_renderer("conflict", render_conflicts)
    register_renderer("usage", render_alerts)
    register_renderer("api_key", render_keys)
