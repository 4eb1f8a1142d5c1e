"""Celery tasks that belong to no app. Every task is safe to run twice or concurrently."""

from celery import shared_task
from django.utils import timezone

from config.db.locks import hold_if_free
from config.webhooks.delivering import deliver_due

WEBHOOKS_LOCK = 7_301_101


@shared_task
def deliver_webhooks() -> int:
    """Send due webhook messages for 20 seconds at most, and return the number of attempts.

    Only one worker sends at a time, so that slow endpoints don't keep the other workers from counting events.
    """
    with hold_if_free(WEBHOOKS_LOCK) as is_held:
        return deliver_due(now=timezone.now()) if is_held else 0
