"""Celery tasks that belong to no app. Every task is safe to run twice or concurrently."""

import pglock
from celery import shared_task
from django.utils import timezone

from config.webhooks.delivering import deliver_due

WEBHOOKS_LOCK = 7_301_101


@shared_task(name="config.tasks.deliver_webhooks")
def deliver_webhooks() -> int:
    """Send due webhook messages for at most 20 seconds; return the number of delivery attempts.

    One run sends at a time, so that slow endpoints never occupy the workers that count events.
    """
    with pglock.advisory(WEBHOOKS_LOCK, timeout=0) as is_alone:
        return deliver_due(now=timezone.now()) if is_alone else 0
