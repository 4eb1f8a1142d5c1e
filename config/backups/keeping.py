"""Which backups there are, which are kept, and how old the newest is."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from config.backups.manifest import FILE
from config.backups.programs import BackupFailed

DRAFT_KEPT = timedelta(days=1)  # of a backup that was killed


def list_backups(folder: Path) -> list[Path]:
    """List the complete backups in a folder, the newest first. Their names are times, so they sort by age."""
    return sorted((path.parent for path in folder.glob(f"[!.]*/{FILE}")), reverse=True)


def find_backup(folder: Path, name: str) -> Path:
    """Return the backup with a name or path, or the newest for `latest`. Raises `BackupFailed` if there is none."""
    if name == "latest":
        backups = list_backups(folder)
        if not backups:
            raise BackupFailed(f"{folder} has no complete backup.")
        return backups[0]
    path = folder / name  # an absolute path stays as it is
    if not (path / FILE).is_file():
        raise BackupFailed(f"{path} isn't a complete backup.")
    return path


def prune_backups(folder: Path, *, keep: int, now: datetime) -> list[str]:
    """Delete all but the newest backups, and drafts older than a day. Return the names of the deleted backups."""
    old = list_backups(folder)[max(keep, 1) :]
    drafts = [path for path in folder.glob(".*.draft") if path.stat().st_mtime < (now - DRAFT_KEPT).timestamp()]
    for path in (*old, *drafts):
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in old]
