"""Add up past hours to days of usage. Later changes of these hours update the days, too."""

from datetime import datetime, timedelta
from typing import cast

import pglock
from django.db import connection, transaction
from django.db.models import Max

from events.ledger.processing import CONFIGURATION_LOCK
from events.models import UsageRollup
from events.sql import sections
from events.usage.meter import floor_day

SETTLED_AFTER = timedelta(days=2)  # most late events have arrived by then
DAYS_AT_A_TIME = timedelta(days=7)


def roll_up(*, now: datetime) -> datetime | None:
    """Roll up the days that ended at least two days ago, a week per transaction, and return the new mark.

    Batches wait briefly while the mark moves. Safe to repeat. Without usage there is no mark.
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
            return cast(datetime, latest)
        # The first rollup includes usage that was counted in earlier days in the meantime.
        first = start if latest is not None else datetime.min.replace(tzinfo=now.tzinfo)
        cursor.execute(sections("days")["roll"], {"start": first, "until": until})
        UsageRollup.objects.create(until=until, rolled_at=now)
        UsageRollup.objects.filter(until__lt=until).delete()
    return until
