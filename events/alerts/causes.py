"""Webhook messages about events that no longer count: one per cause, never one per event."""

from datetime import datetime

from django.db import transaction

from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from events.ledger.causes import MAX_CAUSES, Cause, open_causes
from events.models import ToldCause

MOST_AT_ONCE = 50

type Key = tuple[str, str, str, int | None]


def notify_new_causes(*, now: datetime) -> int:
    """Tell of causes that have opened since the last call, the largest first, 50 at most; return how many.

    The next call goes on with the rest. A cause without open problems is forgotten, and told of anew when it opens
    again. Which causes there are is read from at most some 100,000 problems, however many are open.
    """
    with transaction.atomic():
        known = {_key_of(row): row for row in ToldCause.objects.select_for_update()}
        found = open_causes()
        is_all = len(found) < MAX_CAUSES
        new = [cause for cause in found if _key(cause) not in known][:MOST_AT_ONCE]
        gone = set(known) - {_key(cause) for cause in found} if is_all else set()
        ToldCause.objects.filter(pk__in=[known[key].pk for key in gone]).delete()
        made = [
            ToldCause(reason=reason, event_name=name, external_customer_id=external_id, feature_id=feature_id)
            for reason, name, external_id, feature_id in map(_key, new)
        ]
        ToldCause.objects.bulk_create(made)
        if new:
            emit(WebhookEvent.PROBLEM_OPENED, "problem", new, at=now)
    return len(new)


def _key(cause: Cause) -> Key:
    return str(cause.reason), cause.event_name, cause.external_id, cause.feature.pk if cause.feature else None


def _key_of(row: ToldCause) -> Key:
    return row.reason, row.event_name, row.external_customer_id, row.feature_id
