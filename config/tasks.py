"""Doors for Celery of what belongs to no app. Every task is safe to run twice or side by side."""

from celery import shared_task
from django.utils import timezone

from config.db.locks import hold_if_free
from config.webhooks.delivering import deliver_due

WEBHOOKS_LOCK = 7_301_101


@shared_task
def deliver_webhooks() -> int:
    """Send the messages that are due to their endpoints, for 20 seconds at most. Gives how many tries were made.

    Only one run at a time sends, so that endpoints that hang never take the workers from counting events.
    """
    with hold_if_free(WEBHOOKS_LOCK) as is_ours:
        return deliver_due(now=timezone.now()) if is_ours else 0
