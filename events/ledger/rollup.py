"""Days of usage: hours that are past are added up once, and kept right by whatever still counts into them."""

from datetime import datetime, timedelta
from typing import Any

import pglock
from django.db import connection, transaction
from django.db.models import Max

from events.ledger.processing import CONFIGURATION_LOCK
from events.models import UsageRollup
from events.sql import sections
from events.usage.meter import floor_day

SETTLED_AFTER = timedelta(days=2)  # most late events have come by then
DAYS_AT_A_TIME = timedelta(days=7)


def roll_up(*, now: datetime) -> datetime | None:
    """Roll up the days that ended two days ago or earlier, a week a transaction; give the new mark.

    Batches wait for a moment while the mark moves. A second call does nothing. Without usage there is no mark.
    """
    until = UsageRollup.objects.aggregate(latest=Max("until"))["latest"] or _first_day()
    target = floor_day(now - SETTLED_AFTER)
    while until is not None and until < target:
        until = _roll(until, min(until + DAYS_AT_A_TIME, target), now)
    return until


def _first_day() -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(sections("days")["first"])
        first: datetime | None = cursor.fetchone()[0]
    return floor_day(first) if first else None


def _roll(start: datetime, until: datetime, now: datetime) -> datetime:
    with transaction.atomic(), connection.cursor() as cursor:
        pglock.advisory(CONFIGURATION_LOCK, xact=True).acquire()
        latest = UsageRollup.objects.aggregate(latest=Max("until"))["latest"]
        if latest is not None and latest != start:
            return _as_moment(latest)
        # What lies before the first mark, and came while nobody looked, belongs to it too.
        first = start if latest is not None else datetime.min.replace(tzinfo=now.tzinfo)
        cursor.execute(sections("days")["roll"], {"start": first, "until": until})
        UsageRollup.objects.create(until=until, rolled_at=now)
        UsageRollup.objects.filter(until__lt=until).delete()
    return until


def _as_moment(value: Any) -> datetime:
    moment: datetime = value
    return moment
