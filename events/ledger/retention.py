"""Remove old events and logs, as configured in LEDGER_DAYS and LOG_DAYS."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max

from events.history.removing import remove_parts
from events.ledger.replaying import wait_for_running_batches
from events.models import LedgerHorizon, ProcessedBatch, RefusedRequest, UsageCheck
from events.sql import section
from events.usage.meter import floor_hour

CHUNK = 10_000
BATCHES_KEPT = timedelta(days=3)  # there are several a second in steady traffic; the dashboards show two days
# Apps above register here how far back they still need events: each function returns a time, or None.
floors: list[Callable[[datetime], datetime | None]] = []


@dataclass(frozen=True)
class Pruned:
    """The numbers of removed rows."""

    events: int = 0
    refused: int = 0
    batches: int = 0
    checks: int = 0


def ledger_horizon() -> datetime | None:
    """Return the hour up to which events were removed from the ledger; None if all are kept."""
    latest: datetime | None = LedgerHorizon.objects.aggregate(latest=Max("hour"))["latest"]
    return latest


def prune(*, now: datetime) -> Pruned:
    """Remove events and logs whose retention period has passed, in small transactions. Safe to repeat.

    With LEDGER_DAYS 0 every event is kept. Otherwise events older than LEDGER_DAYS are removed, unless an open invoice
    or period still needs them. Their ids stay known, so that duplicates are still recognized, and their usage is kept.
    Their problems are removed with them, including open problems.
    """
    log_before = now - timedelta(days=settings.LOG_DAYS)
    batches_before = max(log_before, now - BATCHES_KEPT)
    refused, _ = RefusedRequest.objects.filter(last_at__lt=log_before).delete()
    batches, _ = ProcessedBatch.objects.filter(finished_at__lt=batches_before).delete()
    checks, _ = UsageCheck.objects.filter(started_at__lt=log_before).delete()
    return Pruned(prune_ledger(now=now) if settings.LEDGER_DAYS else 0, refused, batches, checks)


def prune_ledger(*, now: datetime) -> int:
    """Remove events older than LEDGER_DAYS that no app needs. Returns the number of removed events."""
    needed = [moment for floor in floors if (moment := floor(now)) is not None]
    horizon = floor_hour(min([now - timedelta(days=settings.LEDGER_DAYS), *needed]))
    _move_horizon(horizon, now)
    removed = 0
    while ids := _remember_chunk(horizon):
        wait_for_running_batches()
        removed += _remove_chunk(ids, horizon)
    return removed + remove_parts(horizon, now=now)


def _move_horizon(horizon: datetime, now: datetime) -> None:
    """Make older usage final before removing the first event, and wait for running recounts."""
    LedgerHorizon.objects.get_or_create(hour=horizon, defaults={"pruned_at": now})
    wait_for_running_batches()


def _remember_chunk(horizon: datetime) -> list[int]:
    """Make the ids of the oldest events known forever. Returns their ledger ids, none if nothing is left to remove.

    This commits before the rows go. In a single transaction, a batch that began before it would see neither the row,
    once it is removed, nor the id: a repeat of $0.25 that arrived at that moment would be billed a second time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(section("retention", "choose"), {"horizon": horizon, "limit": CHUNK})
        ids = [row[0] for row in cursor.fetchall()]
        for step in ("remember", "remember_for_last_release"):
            cursor.execute(section("retention", step), {"ids": ids})
        return ids


def _remove_chunk(ids: list[int], horizon: datetime) -> int:
    """Remove events, whose ids are known, with their problems and voids. Returns how many were still there."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(section("retention", "events"), {"ids": ids})
        removed = [row[0] for row in cursor.fetchall()]
        for step in ("problems", "voids"):
            cursor.execute(section("retention", step), {"ids": removed})
        LedgerHorizon.objects.filter(hour=horizon).update(events=F("events") + len(removed))
        return len(removed)
