"""Send webhooks about conflicts of event ids: one per API key and kind of difference, not one per event."""

from datetime import datetime

from django.db import transaction

from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from events.ledger.conflicts import MAX_CAUSES, ConflictCause, open_conflicts
from events.models import NotifiedConflict

MOST_AT_ONCE = 50

type Key = tuple[int | None, str]


def notify_new_conflicts(*, now: datetime) -> int:
    """Send webhooks for causes of conflicts that have opened since the last call, at most 50; return how many.

    The next call continues with the others. A cause of which every conflict was dismissed is forgotten, so that it is
    notified again if it opens again.
    """
    with transaction.atomic():
        notified = {(row.api_key_id, row.difference): row for row in NotifiedConflict.objects.select_for_update()}
        causes = open_conflicts()
        is_complete = len(causes) < MAX_CAUSES
        new = [cause for cause in causes if _key(cause) not in notified][:MOST_AT_ONCE]
        closed = set(notified) - {_key(cause) for cause in causes} if is_complete else set()
        NotifiedConflict.objects.filter(pk__in=[notified[key].pk for key in closed]).delete()
        NotifiedConflict.objects.bulk_create(
            NotifiedConflict(api_key=cause.api_key, difference=cause.difference) for cause in new
        )
        if new:
            emit(WebhookEvent.CONFLICT_OPENED, "conflict", new, at=now)
    return len(new)


def _key(cause: ConflictCause) -> Key:
    return cause.api_key.pk if cause.api_key else None, cause.difference.value
