"""Choose which events to seal next: ranges of arrival, one after the other."""

import secrets
from datetime import datetime, timedelta

import pglock
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min

from events.history.stores import is_on
from events.models import Event, PartState, SealedPart
from events.sql import statement

PLAN_LOCK = 7_301_141
FILLED_AFTER = timedelta(days=1)  # a range that isn't full is sealed when its first event is a day older than needed
OUT_OF_ORDER = timedelta(minutes=5)  # by how much times of arrival may differ from the order of arrival


def plan(*, now: datetime) -> list[SealedPart]:
    """Plan the parts of the next range of arrival: its events, and those that arrived late. Empty if none is due."""
    with transaction.atomic():
        pglock.advisory(PLAN_LOCK, xact=True).acquire()
        settled = now - timedelta(days=settings.SEAL_AFTER_DAYS)
        after = _planned_until()
        last = _first_received_since(settled - OUT_OF_ORDER)
        if last is None or last <= after:
            return []
        first_event = Event.objects.filter(pk__gte=after, pk__lt=last).only("received_at").order_by("pk").first()
        if first_event is None:
            return []
        end = min(first_event.pk + settings.SEAL_ROWS, last)
        is_full = end - first_event.pk == settings.SEAL_ROWS
        if not is_full and first_event.received_at > settled - FILLED_AFTER:
            return []
        return [
            SealedPart.objects.create(
                name=new_name(first_event.pk),
                is_late=is_late,
                first_event=first_event.pk,
                last_event=end,
                planned_at=now,
            )
            for is_late in (False, True)
        ]


def oldest_unsealed() -> datetime | None:
    """Return when the oldest event arrived that isn't in a sealed part and has no reason to stay; None if none has."""
    if not is_on():
        return None
    unfinished = SealedPart.objects.unfinished().aggregate(first=Min("first_event"))["first"]
    first = Event.objects.filter(pk__gte=_planned_until() if unfinished is None else unfinished).order_by("pk")
    return first.values_list("received_at", flat=True).first()


def _planned_until() -> int:
    """Return the position after the last part. `manage.py unseal` may have returned the events of removed parts."""
    parts = SealedPart.objects.exclude(state=PartState.REMOVED)
    return parts.aggregate(last=Max("last_event"))["last"] or 0


def sealed_until() -> datetime | None:
    """Return when the latest sealed event occurred; None if none is sealed."""
    if not is_on():
        return None
    latest: datetime | None = SealedPart.objects.readable().aggregate(latest=Max("occurred_until"))["latest"]
    return latest


def new_name(first_event: int) -> str:
    """Return a name that no part has had."""
    return f"events-{first_event:019d}-{secrets.token_hex(6)}"


def _first_received_since(moment: datetime) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(statement("first_received"), {"moment": moment})
        position: int | None = cursor.fetchone()[0]
    return position
