"""Alarms about backups: one that failed, and that the newest verified one is too old."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.alarms.kinds import AlarmKind
from config.backups.alarms import find_backups
from config.backups.models import Backup
from config.server.alarms import find_broken_messages

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)


def make_backup(hours_ago: float, **values: Any) -> None:
    at = NOW - timedelta(hours=hours_ago)
    Backup.objects.create(**{"name": "x", "started_at": at, "finished_at": at, "verified_at": at} | values)


def find() -> list[tuple[str, str]]:
    return [(finding.kind, finding.message) for finding in find_backups(NOW)]


def test_an_installation_that_is_backed_up_in_another_way_has_no_alarm(db, settings):
    settings.BACKUP_DIR = None
    assert find() == []


def test_a_missing_backup_is_found(db, settings, tmp_path: Path):
    settings.BACKUP_DIR = tmp_path
    assert find() == [(AlarmKind.BACKUP_OLD, "There is no verified backup.")]


@pytest.mark.parametrize(("hours_ago", "is_found"), [(26, False), (26.1, True)])
def test_a_backup_is_too_old_after_backup_max_hours(db, settings, hours_ago: float, is_found: bool):
    settings.BACKUP_MAX_HOURS = 26
    make_backup(hours_ago)
    message = "The last verified backup is of 2026-11-28 06:54 UTC."
    assert find() == ([(AlarmKind.BACKUP_OLD, message)] if is_found else [])


def test_a_failed_backup_is_found_and_so_is_one_that_was_never_verified(db):
    make_backup(30, verified_at=None)
    make_backup(1, verified_at=None, problem="pg_dump failed: no space left")
    failed, old = find()
    assert failed == (AlarmKind.BACKUP_FAILED, "The last backup failed: pg_dump failed: no space left")
    assert old == (AlarmKind.BACKUP_OLD, "There is no verified backup.")


def test_the_last_backup_is_the_one_that_was_started_last(db):
    make_backup(1)
    make_backup(400, verified_at=None, problem="an old backup that was verified today")
    assert find() == []


def test_a_message_that_was_set_aside_is_found_until_it_is_deleted(settings, tmp_path: Path):
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_in": str(tmp_path)}
    assert list(find_broken_messages(NOW)) == []
    (tmp_path / "broken").mkdir()
    file = tmp_path / "broken" / "1_x.celery.msg"
    file.touch()
    (finding,) = find_broken_messages(NOW)
    assert (finding.kind, str(file) in finding.message) == (AlarmKind.BROKER_FILE, True)
    file.unlink()
    assert list(find_broken_messages(NOW)) == []
