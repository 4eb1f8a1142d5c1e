"""Make a backup, verify it, delete old ones, and keep a record of the result."""

import logging
from datetime import datetime
from pathlib import Path

from django.conf import settings

from config.backups.keeping import prune_backups
from config.backups.locking import only_one
from config.backups.manifest import Manifest
from config.backups.models import Backup
from config.backups.programs import FAILURES
from config.backups.results import write_result
from config.backups.verifying import verify_backup
from config.backups.writing import name_backup, write_backup
from config.db.clock import read_clock
from config.db.errors import describe_error

logger = logging.getLogger(__name__)


def back_up(folder: Path, *, verify: bool, now: datetime) -> Backup:
    """Make a backup, verify it if asked, and record the result; the record's `problem` says what went wrong.

    Old backups are deleted only after one that was verified.
    """
    try:
        with only_one():
            path = write_backup(folder, now=now)
            backup = _record_of(path)
            if verify:
                _verify(path, backup, now=now)
            backup.finished_at = read_clock()
            backup.save()
            if backup.verified_at:
                prune_backups(folder, keep=settings.BACKUP_KEEP, now=now)
    except FAILURES as error:
        logger.exception("The backup failed")
        written = name_backup(now) if (folder / name_backup(now)).is_dir() else ""
        problem = describe_error(error)
        return Backup.objects.create(name=written, started_at=now, finished_at=read_clock(), problem=problem)
    return backup


def verify_again(path: Path, *, now: datetime) -> Backup:
    """Verify an existing backup, and record the result. Raises `BackupFailed` if another is being made or verified."""
    with only_one():
        backup = _record_of(path)
        _verify(path, backup, now=now)
        backup.save()
    return backup


def find_latest() -> Backup | None:
    """Return the record of the backup that was started last."""
    return Backup.objects.order_by("-started_at", "-pk").first()


def find_last_verified() -> datetime | None:
    """Return when the newest verified backup began: what is restored is the state of that moment."""
    verified = Backup.objects.exclude(verified_at=None)
    return verified.order_by("-started_at").values_list("started_at", flat=True).first()


def _verify(path: Path, backup: Backup, *, now: datetime) -> None:
    """Set the record's result, and write it beside the backup. What verifying raises is its result, too."""
    try:
        backup.problem = verify_backup(path, now=now)
    except FAILURES as error:
        logger.exception("The backup %s couldn't be verified", path)
        backup.problem = describe_error(error)
    backup.verified_at = None if backup.problem else read_clock()
    write_result(path, backup.problem, at=read_clock())


def _record_of(path: Path) -> Backup:
    """Return the record of a backup, or a new one, for example after a restore of an earlier backup."""
    manifest = Manifest.read(path)
    started_at = datetime.fromisoformat(manifest.created_at)
    return Backup.objects.filter(name=manifest.name).first() or Backup(
        name=manifest.name,
        started_at=started_at,
        finished_at=started_at,
        size=manifest.dump_bytes,
        tables=len(manifest.tables),
        rows=manifest.rows,
    )
