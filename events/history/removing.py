"""Remove parts whose events are older than retention keeps them, and objects in the store that no part names."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from events.history.locks import hold_part
from events.history.stores import get_store, is_on
from events.models import LedgerHorizon, PartState, SealedPart


def remove_parts(horizon: datetime, *, now: datetime) -> int:
    """Remove parts whose events occurred and arrived before the horizon; return how many events. Their ids stay known.

    A part that someone reads is left for the next night.
    """
    expired = SealedPart.objects.filter(state=PartState.SEALED, occurred_until__lt=horizon, planned_at__lt=horizon)
    return sum(_remove(part, horizon, now) for part in expired.order_by("pk"))


@transaction.atomic
def _remove(part: SealedPart, horizon: datetime, now: datetime) -> int:
    with connection.cursor() as cursor:
        if not hold_part(cursor, part.pk):
            return 0
    if not SealedPart.objects.filter(pk=part.pk, state=PartState.SEALED).update(
        state=PartState.REMOVED, removed_at=now
    ):
        return 0
    events = (part.rows or 0) - part.returned
    LedgerHorizon.objects.filter(hour=horizon).update(events=F("events") + events)
    return events


def sweep_store(*, now: datetime) -> int:
    """Delete objects that no part needs, once they are older than SEAL_ORPHAN_DAYS; return how many.

    Until then, a restored backup may still name them.
    """
    if not is_on():
        return 0
    store, before = get_store(), now - timedelta(days=settings.SEAL_ORPHAN_DAYS)
    removed_at = dict(SealedPart.objects.filter(state=PartState.REMOVED).values_list("name", "removed_at"))
    needed = set(SealedPart.objects.exclude(state=PartState.REMOVED).values_list("name", flat=True))
    orphans = [
        name
        for name, written_at in store.names()
        if name not in needed and (removed_at.get(name) or written_at) < before
    ]
    for name in orphans:
        store.delete(name)
    return len(orphans)
