"""A backup is restored into a scratch database and compared: one that can't be used is known the same night."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from config.backups.keeping import find_backup, list_backups
from config.backups.manifest import Manifest
from config.backups.models import Backup
from config.backups.programs import BackupFailed, connect, create_database
from config.backups.results import find_problem, is_verified, read_result
from config.backups.running import back_up, find_last_verified
from config.backups.verifying import verify_backup
from config.backups.writing import write_backup
from tests.api import Api
from tests.config.change_log.tampering import tamper
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature
from tests.owner import as_owner

NOW = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)
DATABASES = "SELECT datname FROM pg_database WHERE starts_with(datname, current_database() || '_being')"


@pytest.fixture
def company(transactional_db: None) -> None:
    """Make a company with counted usage, and texts that an escape could break."""
    make_feature(event_name="api.calls")
    make_customer(external_id="acme", name="Ärger & “Söhne”\t\\N\n")
    for _ in range(3):
        send("api.calls", customer="acme", note="tab\t and \\ backslash")
    process()


def edit_manifest(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_backup_is_restored_and_every_table_compared(company: None, tmp_path: Path):
    backup = back_up(tmp_path, verify=True, now=NOW)
    assert (backup.name, backup.problem) == ("2026-11-29T01-40-00Z", "")
    assert backup.verified_at
    assert Manifest.read(tmp_path / backup.name).tables["public.events_event"][0] == "3"
    with connect() as server:
        assert server.execute(DATABASES.encode()).fetchall() == []


def test_a_backup_and_its_files_are_read_by_no_one_else(company: None, tmp_path: Path):
    backup = back_up(tmp_path / "new", verify=True, now=NOW)
    folder = tmp_path / "new" / backup.name
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (folder.parent, folder, *folder.iterdir())}
    assert modes == {
        "new": "0o700",
        "2026-11-29T01-40-00Z": "0o700",
        "database.dump": "0o600",
        "manifest.json": "0o600",
        "verification.json": "0o600",
    }


def test_a_damaged_dump_is_noticed_before_it_is_restored(company: None, tmp_path: Path):
    folder = write_backup(tmp_path, now=NOW)
    dump = folder / "database.dump"
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    assert verify_backup(folder, now=NOW) == "database.dump isn't the file that was written."


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (["4", "0"], "public.events_event has 3 of 4 rows"),
        (["3", "1"], "public.events_event has other values in its 3 rows"),
    ],
)
def test_a_restored_table_that_differs_is_named(company: None, tmp_path: Path, table: list[str], problem: str):
    folder = write_backup(tmp_path, now=NOW)
    edit_manifest(folder, tables=Manifest.read(folder).tables | {"public.events_event": table})
    assert verify_backup(folder, now=NOW) == problem


def test_usage_that_was_wrong_already_is_found_in_the_copy(company: None, tmp_path: Path):
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE events_usagebucket SET count = count + 1")
    backup = back_up(tmp_path, verify=True, now=NOW)
    assert backup.problem == "usage: 1 hours of usage differ from the events"
    assert backup.verified_at is None
    assert find_problem(tmp_path / backup.name) == backup.problem
    with pytest.raises(BackupFailed, match=r"name it\. The newest, 2026-11-29T01-40-00Z: usage: 1 hours"):
        find_backup(tmp_path, "latest", skip_bad=True)


def test_a_change_log_that_was_changed_is_found_in_the_copy(company: None, tmp_path: Path, staff_client: Client):
    entry = "(SELECT min(id) FROM auditlog_logentry)"
    tamper(f"UPDATE auditlog_logentry SET object_repr = 'someone else' WHERE id = {entry}")
    assert "change log: entry" in back_up(tmp_path, verify=True, now=NOW).problem


def test_a_folder_that_cant_be_written_is_named(company: None, tmp_path: Path):
    (tmp_path / "file").touch()
    assert (
        back_up(tmp_path / "file", verify=False, now=NOW).problem
        == f"{tmp_path / 'file'} can't be written: File exists."
    )


def test_two_backups_at_once_are_refused(company: None, tmp_path: Path):
    with connect() as other:
        other.execute(b"SELECT pg_advisory_lock(7301030)")
        assert back_up(tmp_path, verify=False, now=NOW).problem == "Another backup is being made or verified."
    assert list(tmp_path.iterdir()) == []


def fail(*args: Any, **kwargs: Any) -> None:
    raise psycopg.OperationalError("the server closed the connection")


def test_a_verification_that_breaks_off_is_recorded_with_the_name_of_the_backup(
    company: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("config.backups.verifying.load_dump", fail)
    backup = back_up(tmp_path, verify=True, now=NOW)
    assert (backup.name, backup.problem) == ("2026-11-29T01-40-00Z", "the server closed the connection")
    assert find_problem(tmp_path / backup.name) == "the server closed the connection"


def test_a_backup_whose_result_cant_be_written_is_recorded_with_its_name(
    company: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("config.backups.running.write_result", refuse)
    backup = back_up(tmp_path, verify=True, now=NOW)
    assert (backup.name, backup.problem) == ("2026-11-29T01-40-00Z", "[Errno 28] No space left on device")


def test_a_backup_that_fails_before_it_is_written_has_no_name(
    company: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("config.backups.writing.read_content", fail)
    assert back_up(tmp_path, verify=True, now=NOW).name == ""
    assert list(tmp_path.iterdir()) == []


def test_verifying_an_existing_backup_is_recorded(company: None, tmp_path: Path):
    made = back_up(tmp_path, verify=False, now=NOW)
    folder = tmp_path / made.name
    assert read_result(folder) is None
    output = StringIO()
    call_command("backup", folder=tmp_path, verify_only="latest", stdout=output)
    assert "every table is as it was backed up" in output.getvalue()
    assert is_verified(folder)
    verified = Backup.objects.get()
    assert (verified.pk, find_last_verified()) == (made.pk, NOW)

    edit_manifest(folder, tables=Manifest.read(folder).tables | {"public.events_event": ["4", "0"]})
    with pytest.raises(CommandError, match=r"public\.events_event has 3 of 4 rows"):
        call_command("backup", folder=tmp_path, verify_only="latest")
    assert Backup.objects.get().problem == "public.events_event has 3 of 4 rows"
    assert find_last_verified() is None
    output = StringIO()
    call_command("backup", folder=tmp_path, list=True, stdout=output)
    assert "failed: public.events_event has 3 of 4 rows" in output.getvalue()


def test_verifying_an_earlier_backup_after_a_restore_records_its_own_time(company: None, tmp_path: Path):
    back_up(tmp_path, verify=False, now=NOW)
    Backup.objects.all().delete()
    call_command("backup", folder=tmp_path, verify_only="2026-11-29T01-40-00Z", stdout=StringIO())
    backup = Backup.objects.get()
    assert (backup.started_at, backup.finished_at, backup.tables > 50) == (NOW, NOW, True)


def test_old_backups_are_deleted_only_after_one_that_was_verified(company: None, tmp_path: Path, settings):
    settings.BACKUP_KEEP = 1
    for minute in (38, 39):
        back_up(tmp_path, verify=False, now=NOW.replace(minute=minute))
    assert len(list_backups(tmp_path)) == 2
    back_up(tmp_path, verify=True, now=NOW)
    assert [path.name for path in list_backups(tmp_path)] == ["2026-11-29T01-40-00Z"]


def test_the_scratch_database_of_a_killed_verification_is_dropped_by_the_next(company: None, tmp_path: Path):
    folder = write_backup(tmp_path, now=NOW)
    create_database(f"{connection.settings_dict['NAME']}_being_verified")
    assert verify_backup(folder, now=NOW) == ""
    with connect() as server:
        assert server.execute(DATABASES.encode()).fetchall() == []


def test_a_backup_names_the_secret_key_of_its_time(company: None, tmp_path: Path, settings):
    manifest = Manifest.read(write_backup(tmp_path, now=NOW))
    assert settings.SECRET_KEY not in json.dumps(manifest.secret_key)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert manifest.can_read_secrets
    settings.SECRET_KEY_FALLBACKS = []
    assert not manifest.can_read_secrets


def test_backups_are_shown_in_the_admin_and_the_api(staff_client: Client, api: Api):
    made = Backup.objects.create(
        name="2026-11-29T01-40-00Z",
        started_at=NOW,
        finished_at=NOW,
        size=2_000_000,
        tables=90,
        rows=1234,
        verified_at=NOW,
    )
    Backup.objects.create(started_at=NOW, finished_at=NOW, problem="pg_dump failed: no space left")
    page = staff_client.get("/admin/config/backup/").content.decode()
    assert "Verified" in page
    assert "1,234" in page
    failed, verified = api.get("backups")["items"]
    assert (failed["name"], failed["problem"]) == (None, "pg_dump failed: no space left")
    assert (verified["id"], verified["name"], verified["rows"]) == (str(made.pk), "2026-11-29T01-40-00Z", 1234)
