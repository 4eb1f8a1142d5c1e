"""Which backups there are, which one is restored as the latest, and which are kept."""

import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from config.backups.manifest import FILE, Manifest
from config.backups.programs import BackupFailed
from config.backups.results import find_problem, is_verified

LATEST = "latest"
DRAFT_KEPT = timedelta(days=1)  # of a backup that was killed

_is_name = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ", re.ASCII).fullmatch


def list_backups(folder: Path) -> list[Path]:
    """List the complete backups in a folder, the newest first. Their names are times, so they sort by age.

    A folder that isn't named as its manifest says isn't listed: it was renamed to be kept, or is something else.
    """
    return sorted((path for path in folder.glob("*") if _is_name(path.name) and _is_complete(path)), reverse=True)


def find_backup(folder: Path, name: str, *, skip_bad: bool) -> Path:
    """Return the backup with a name or path, or for `latest` the newest. Raises `BackupFailed` if there is none.

    With `skip_bad`, the latest is the newest whose verification didn't fail.
    """
    if name == LATEST:
        return _find_latest(folder, skip_bad=skip_bad)
    path = folder / name  # an absolute path stays as it is
    if not (path / FILE).is_file():
        raise BackupFailed(f"{path} isn't a complete backup.")
    return path


def prune_backups(folder: Path, *, keep: int, now: datetime) -> list[str]:
    """Delete backups that are older than the newest ones, and drafts older than a day. Return the names of the backups.

    A backup whose verification failed isn't counted as one of the newest, and the newest verified one always stays.
    """
    backups, keep = list_backups(folder), max(keep, 1)
    newest = [path for path in backups if not find_problem(path)][:keep]
    verified = next(filter(is_verified, backups), None)
    old = [path for path in backups if len(newest) == keep and path < newest[-1] and path != verified]
    drafts = [path for path in folder.glob(".*.draft") if path.stat().st_mtime < (now - DRAFT_KEPT).timestamp()]
    for path in (*old, *drafts):
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in old]


def _find_latest(folder: Path, *, skip_bad: bool) -> Path:
    backups = list_backups(folder)
    if not backups:
        raise BackupFailed(f"{folder} has no complete backup.")
    for path in backups:
        if not (skip_bad and find_problem(path)):
            return path
    raise BackupFailed(
        f"The verification of every backup in {folder} failed. To restore a backup nevertheless, name it. The newest, "
        f"{backups[0].name}: {find_problem(backups[0])}"
    )


def _is_complete(path: Path) -> bool:
    try:
        return Manifest.read(path).name == path.name
    except BackupFailed:
        return False
