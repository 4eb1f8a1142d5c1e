"""The alarms about backups."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse

from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding
from config.backups.running import find_last_verified, find_latest

MAKE_ONE = "Run manage.py backup --verify, and see docs/backup.md."


def register_backup_alarms() -> None:
    """Register the check of backups."""
    register_check("backups", [AlarmKind.BACKUP_FAILED, AlarmKind.BACKUP_OLD], find_backups)


def find_backups(now: datetime) -> Iterator[Finding]:
    """Find a failed backup, and that the newest verified one is older than BACKUP_MAX_HOURS.

    Without BACKUP_DIR and without any backup, backups are made in another way, and nothing is found.
    """
    latest, url = find_latest(), reverse("admin:config_backup_changelist")
    if latest is None and settings.BACKUP_DIR is None:
        return
    if latest is not None and latest.problem:
        yield Finding(AlarmKind.BACKUP_FAILED, f"The last backup failed: {latest.problem}", MAKE_ONE, url=url)
    started_at = find_last_verified()
    oldest = now - timedelta(hours=settings.BACKUP_MAX_HOURS)
    if started_at is None:
        yield Finding(AlarmKind.BACKUP_OLD, "There is no verified backup.", MAKE_ONE, url=url)
    elif started_at < oldest:
        message = f"The last verified backup is of {started_at:%Y-%m-%d %H:%M} UTC."
        yield Finding(AlarmKind.BACKUP_OLD, message, MAKE_ONE, url=url)
