"""Metrics of backups."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from config.backups.running import find_last_verified, find_latest
from config.monitoring.exposition import register_metrics
from config.monitoring.metrics import gauge


def read_backups(now: datetime) -> Iterator[Metric]:
    """Yield the age of the newest verified backup, and whether the last one failed. Without backups, yield nothing."""
    latest, verified_at = find_latest(), find_last_verified()
    if latest is not None:
        yield gauge("backup_failed", "1 if the last backup or its verification failed.", bool(latest.problem))
    if verified_at is not None:
        age = (now - verified_at).total_seconds()
        yield gauge("backup_age_seconds", "When the newest verified backup was started.", age)


def register_backup_metrics() -> None:
    """Register the source of this module."""
    register_metrics("backups", read_backups)
