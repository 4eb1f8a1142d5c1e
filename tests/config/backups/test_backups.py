"""A backup is restored into a scratch database and compared: one that can't be used is known the same night."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from config.backups.keeping import find_backup, list_backups, prune_backups
from config.backups.manifest import Manifest
from config.backups.models import Backup
from config.backups.programs import BackupFailed, connect
from config.backups.running import back_up
from config.backups.verifying import verify_backup
from config.backups.writing import write_backup
from tests.api import Api
from tests.config.change_log.tampering import tamper
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature
from tests.owner import as_owner, owner_url

NOW = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)
DATABASES = "SELECT datname FROM pg_database WHERE datname ~ '^scratch_|_restored$'"


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


def test_a_backup_is_read_by_no_one_else(company: None, tmp_path: Path):
    assert write_backup(tmp_path, now=NOW).stat().st_mode & 0o077 == 0


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
        assert back_up(tmp_path, verify=False, now=NOW).problem == "Another backup is being made."
    assert list(tmp_path.iterdir()) == []


def test_the_newest_are_kept_and_old_drafts_removed(tmp_path: Path):
    for day in range(1, 6):
        folder = tmp_path / f"2026-11-0{day}T01-40-00Z"
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
    killed, running = tmp_path / ".2026-11-01T01-40-00Z.draft", tmp_path / ".2026-11-06T01-40-00Z.draft"
    for draft in (killed, running):
        draft.mkdir()
    yesterday = (NOW - timedelta(hours=25)).timestamp()
    os.utime(killed, (yesterday, yesterday))
    os.utime(running, (NOW.timestamp(), NOW.timestamp()))
    assert prune_backups(tmp_path, keep=2, now=NOW) == [f"2026-11-0{day}T01-40-00Z" for day in (3, 2, 1)]
    assert [path.name for path in list_backups(tmp_path)] == ["2026-11-05T01-40-00Z", "2026-11-04T01-40-00Z"]
    assert running.exists()
    assert not killed.exists()
    assert find_backup(tmp_path, "latest").name == "2026-11-05T01-40-00Z"


def test_a_folder_without_a_manifest_isnt_a_backup(tmp_path: Path):
    with pytest.raises(BackupFailed, match="has no complete backup"):
        find_backup(tmp_path, "latest")


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


@pytest.mark.slow
def test_a_restore_brings_everything_back_and_keeps_the_database_of_before(fresh_database_url: str, tmp_path: Path):
    def manage(*command: str) -> str:
        env = os.environ | {
            "DATABASE_URL": fresh_database_url,
            "DATABASE_OWNER_URL": owner_url(fresh_database_url),
            "BACKUP_DIR": str(tmp_path),
        }
        command_line = [sys.executable, "manage.py", *command]
        done = subprocess.run(command_line, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def run(sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(owner_url(fresh_database_url), autocommit=True) as server:
            cursor = server.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    manage("migrate", "-v0")
    key = manage("create_api_key", "Production").strip()
    assert key.startswith("sk_")
    assert "every table is the same" in manage("backup", "--verify")
    run("UPDATE events_apikey SET name = 'overwritten by mistake'")
    with psycopg.connect(fresh_database_url):
        assert "Stop web, worker and beat first: 1 connections" in manage("restore", "latest")
    output = manage("restore", "latest")
    kept_as = output.split("is kept as ")[1].split(".")[0]
    try:
        assert run("SELECT name FROM events_apikey") == [("Production",)]
        with psycopg.connect(fresh_database_url) as application:  # its privileges are back
            assert application.execute("SELECT name FROM events_apikey").fetchall() == [("Production",)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute("TRUNCATE events_event")
        (backup,) = list_backups(tmp_path)
        edit_manifest(backup, migrations=["billing.9999_of_a_later_release"])
        assert "was made by a later release" in manage("restore", "latest")
    finally:
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
            server.execute(f"DROP DATABASE {kept_as}".encode())
