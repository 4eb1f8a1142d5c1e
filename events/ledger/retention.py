"""What is removed when: old events by the company's setting, and logs by theirs. Inbox and logs stay bounded."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pglock
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max

from events.ledger.processing import CONFIGURATION_LOCK
from events.models import LedgerHorizon, ProcessedBatch, RefusedRequest, UsageCheck
from events.sql import section
from events.usage.meter import floor_hour

CHUNK = 10_000
BATCHES_KEPT = timedelta(days=3)  # several a second in steady traffic; the dashboards look at two days
# Apps above tell here from when on they still need events: each gives a moment, or None when it needs nothing.
floors: list[Callable[[datetime], datetime | None]] = []


@dataclass(frozen=True)
class Pruned:
    """How many rows went."""

    events: int = 0
    refused: int = 0
    batches: int = 0
    checks: int = 0


def ledger_horizon() -> datetime | None:
    """Tell the hour up to which events were removed from the ledger; None when all are kept."""
    latest: datetime | None = LedgerHorizon.objects.aggregate(latest=Max("hour"))["latest"]
    return latest


def prune(*, now: datetime) -> Pruned:
    """Remove what is past keeping. In small transactions; killed in between, a second call goes on.

    LEDGER_DAYS 0 keeps every event. Otherwise events that occurred before the last LEDGER_DAYS go, but never one that
    an open invoice or period still needs. Their ids stay known, so that a repeat is still a repeat, and their usage
    stays in the buckets. Problems of theirs that are still open are removed with them, as dismissed by retention.
    """
    log_before = now - timedelta(days=settings.LOG_DAYS)
    batches_before = max(log_before, now - BATCHES_KEPT)
    refused, _ = RefusedRequest.objects.filter(last_at__lt=log_before).delete()
    batches, _ = ProcessedBatch.objects.filter(finished_at__lt=batches_before).delete()
    checks, _ = UsageCheck.objects.filter(started_at__lt=log_before).delete()
    return Pruned(prune_ledger(now=now) if settings.LEDGER_DAYS else 0, refused, batches, checks)


def prune_ledger(*, now: datetime) -> int:
    """Remove events that occurred before the setting's days and every floor. Gives how many."""
    needed = [moment for floor in floors if (moment := floor(now)) is not None]
    horizon = floor_hour(min([now - timedelta(days=settings.LEDGER_DAYS), *needed]))
    _move_horizon(horizon, now)
    removed = 0
    while gone := _remove_chunk(horizon):
        removed += gone
    return removed


def _move_horizon(horizon: datetime, now: datetime) -> None:
    """Make older buckets final before the first event goes; recounts that have begun are waited for."""
    LedgerHorizon.objects.get_or_create(hour=horizon, defaults={"pruned_at": now})
    with transaction.atomic():
        pglock.advisory(CONFIGURATION_LOCK, xact=True).acquire()


def _remove_chunk(horizon: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(section("retention", "choose"), {"horizon": horizon, "limit": CHUNK})
        ids = [row[0] for row in cursor.fetchall()]
        for step in ("problems", "voids", "events"):
            cursor.execute(section("retention", step), {"ids": ids})
        LedgerHorizon.objects.filter(hour=horizon).update(events=F("events") + len(ids))
        return len(ids)
