"""Send webhooks about events that don't count: one per cause, not one per event."""

from datetime import datetime

from django.db import transaction

from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from events.ledger.causes import MAX_CAUSES, Cause, open_causes
from events.models import ToldCause

MOST_AT_ONCE = 50

type Key = tuple[str, str, str, int | None]


def notify_new_causes(*, now: datetime) -> int:
    """Send webhooks for causes that have opened since the last call, the largest 50 first; return how many.

    The next call continues with the others. A cause without open problems is forgotten, so that it is notified again if
    it opens again. Causes are read from at most 100,000 problems or so, however many are open.
    """
    with transaction.atomic():
        notified = {_key_of(row): row for row in ToldCause.objects.select_for_update()}
        causes = open_causes()
        is_complete = len(causes) < MAX_CAUSES
        new = [cause for cause in causes if _key(cause) not in notified][:MOST_AT_ONCE]
        closed = set(notified) - {_key(cause) for cause in causes} if is_complete else set()
        ToldCause.objects.filter(pk__in=[notified[key].pk for key in closed]).delete()
        rows = [
            ToldCause(reason=reason, event_name=name, external_customer_id=external_id, feature_id=feature_id)
            for reason, name, external_id, feature_id in map(_key, new)
        ]
        ToldCause.objects.bulk_create(rows)
        if new:
            emit(WebhookEvent.PROBLEM_OPENED, "problem", new, at=now)
    return len(new)


def _key(cause: Cause) -> Key:
    return str(cause.reason), cause.event_name, cause.external_id, cause.feature.pk if cause.feature else None


def _key_of(row: ToldCause) -> Key:
    return row.reason, row.event_name, row.external_customer_id, row.feature_id
