"""Which folders are backups, which of them is the latest, and which are deleted."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.backups.keeping import find_backup, list_backups, prune_backups
from config.backups.manifest import Manifest
from config.backups.programs import BackupFailed
from config.backups.results import write_result

NOW = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)
DIFFERS = "public.billing_invoice has 4 of 5 rows"


def make_folder(parent: Path, name: str, *, manifest_name: str = "", problem: str | None = None) -> Path:
    """Make the folder of a backup. Without a problem it was never verified; a blank one is that of a good result."""
    folder = parent / name
    folder.mkdir()
    Manifest(
        name=manifest_name or name,
        created_at=NOW.isoformat(),
        server="PostgreSQL 18",
        dump_bytes=1,
        dump_sha256="",
        migrations=[],
        tables={},
        change_log=[],
        secret_key="",
    ).write(folder)
    if problem is not None:
        write_result(folder, problem, at=NOW)
    return folder


def make_days(parent: Path, problems: dict[int, str | None]) -> None:
    for day, problem in problems.items():
        make_folder(parent, name_of(day), problem=problem)


def name_of(day: int) -> str:
    return f"2026-11-{day:02}T01-40-00Z"


def days(parent: Path) -> list[int]:
    return [int(path.name[8:10]) for path in list_backups(parent)]


def test_the_newest_are_kept_and_old_drafts_removed(tmp_path: Path):
    make_days(tmp_path, dict.fromkeys(range(1, 6)))
    killed, running = tmp_path / ".2026-11-01T01-40-00Z.draft", tmp_path / ".2026-11-06T01-40-00Z.draft"
    for draft in (killed, running):
        draft.mkdir()
    yesterday = (NOW - timedelta(hours=25)).timestamp()
    os.utime(killed, (yesterday, yesterday))
    os.utime(running, (NOW.timestamp(), NOW.timestamp()))
    assert prune_backups(tmp_path, keep=2, now=NOW) == [name_of(day) for day in (3, 2, 1)]
    assert days(tmp_path) == [5, 4]
    assert running.exists()
    assert not killed.exists()


@pytest.mark.parametrize(
    ("problems", "kept"),
    [
        ({1: "", 2: "", 3: DIFFERS, 4: ""}, [4, 3, 2]),  # a bad backup takes no place
        ({1: "", 2: DIFFERS, 3: "", 4: ""}, [4, 3]),  # and is deleted when it is older than those that do
        ({1: "", 2: "", 3: None, 4: None}, [4, 3, 2]),  # the newest verified one always stays
        ({1: "", 2: DIFFERS, 3: DIFFERS, 4: DIFFERS}, [4, 3, 2, 1]),
        ({1: DIFFERS, 2: DIFFERS}, [2, 1]),
    ],
)
def test_two_backups_that_can_be_restored_are_kept(tmp_path: Path, problems: dict[int, str | None], kept: list[int]):
    make_days(tmp_path, problems)
    prune_backups(tmp_path, keep=2, now=NOW)
    assert days(tmp_path) == kept


def test_folders_that_arent_named_as_their_manifest_says_are_left_alone(tmp_path: Path):
    others = [
        make_folder(tmp_path, "keep-2026-03", manifest_name=name_of(1)),
        make_folder(tmp_path, name_of(30), manifest_name=name_of(2)),
        tmp_path / "website",
        tmp_path / name_of(29),
    ]
    for folder, content in ((others[2], {"name": "website", "icons": []}), (others[3], {"name": name_of(29)})):
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(content))
    make_days(tmp_path, {3: "", 4: "", 5: ""})
    assert prune_backups(tmp_path, keep=1, now=NOW) == [name_of(4), name_of(3)]
    assert days(tmp_path) == [5]
    assert all(folder.exists() for folder in others)
    assert find_backup(tmp_path, "latest", skip_bad=True).name == name_of(5)
    assert find_backup(tmp_path, "keep-2026-03", skip_bad=True) == others[0]


def test_the_latest_backup_is_the_newest_that_isnt_known_to_be_bad(tmp_path: Path):
    make_days(tmp_path, {1: "", 2: None, 3: DIFFERS})
    (make_folder(tmp_path, name_of(4)) / "verification.json").write_text("half a fi")
    assert find_backup(tmp_path, "latest", skip_bad=True).name == name_of(2)
    assert find_backup(tmp_path, "latest", skip_bad=False).name == name_of(4)
    assert find_backup(tmp_path, name_of(3), skip_bad=True).name == name_of(3)


def test_a_folder_without_a_manifest_isnt_a_backup(tmp_path: Path):
    (tmp_path / name_of(1)).mkdir()
    with pytest.raises(BackupFailed, match="has no complete backup"):
        find_backup(tmp_path, "latest", skip_bad=True)
    with pytest.raises(BackupFailed, match="isn't a complete backup"):
        find_backup(tmp_path, name_of(1), skip_bad=True)
