"""Render alarms for webhook messages."""

from collections.abc import Sequence
from datetime import datetime

from config.alarms.models import Alarm
from config.alarms.serializers import AlarmOut
from config.webhooks.outbox import Payload, register_renderer


def render_alarms(ids: Sequence[int], at: datetime) -> Payload:
    """Render alarms as the API does."""
    rows = Alarm.objects.filter(pk__in=ids).select_related("acknowledged_by").order_by("pk")
    return [(alarm.public_id, AlarmOut(alarm).data) for alarm in rows]


def register() -> None:
    """Register the renderer of alarms."""
    register_renderer("alarm", render_alarms)
