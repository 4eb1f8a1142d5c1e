"""Make a backup, verify it, delete old ones, and keep a record of the result."""

import logging
from datetime import datetime
from pathlib import Path

from django.conf import settings

from config.backups.keeping import prune_backups
from config.backups.manifest import Manifest
from config.backups.models import Backup
from config.backups.programs import BackupFailed
from config.backups.verifying import verify_backup
from config.backups.writing import write_backup
from config.db.clock import read_clock

logger = logging.getLogger(__name__)


def back_up(folder: Path, *, verify: bool, now: datetime) -> Backup:
    """Make a backup, verify it if asked, and record the result; the record's `problem` says what went wrong.

    Old backups are deleted only after one that worked.
    """
    try:
        path = write_backup(folder, now=now)
        problem = verify_backup(path, now=now) if verify else ""
    except BackupFailed as error:
        logger.exception("The backup failed")
        return Backup.objects.create(started_at=now, finished_at=read_clock(), problem=str(error))
    if not problem:
        prune_backups(folder, keep=settings.BACKUP_KEEP, now=now)
    return _record(Manifest.read(path), problem, is_verified=verify and not problem, now=now)


def find_last_verified() -> datetime | None:
    """Return when the newest verified backup began: what is restored is the state of that moment."""
    verified = Backup.objects.exclude(verified_at=None)
    return verified.order_by("-pk").values_list("started_at", flat=True).first()


def _record(manifest: Manifest, problem: str, *, is_verified: bool, now: datetime) -> Backup:
    finished_at = read_clock()
    return Backup.objects.create(
        name=manifest.name,
        started_at=now,
        finished_at=finished_at,
        size=manifest.dump_bytes,
        tables=len(manifest.tables),
        rows=manifest.rows,
        verified_at=finished_at if is_verified else None,
        problem=problem,
    )
