"""A restore takes the database's place completely or not at all, also where there is no database."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from config.backups import restoring
from config.backups.keeping import list_backups
from config.backups.programs import BackupFailed, connect, create_database, drop_database
from config.backups.restoring import restore_backup
from config.backups.results import write_result
from config.backups.writing import write_backup
from tests.factories import make_feature
from tests.owner import owner_url

NOW = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let another database, which doesn't exist yet, be the product's that is restored."""
    name = f"product_{secrets.token_hex(6)}"
    monkeypatch.setattr(restoring, "database_name", lambda: name)
    yield name
    for left in list_databases(name):
        drop_database(left)


@pytest.fixture
def backup(transactional_db: None, tmp_path: Path) -> Path:
    """Make a backup of a company with one feature."""
    make_feature(event_name="api.calls")
    return write_backup(tmp_path, now=NOW)


def list_databases(name: str) -> list[str]:
    with connect("postgres") as server:
        rows = server.execute(b"SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1", [name])
        return [row[0] for row in rows.fetchall()]


def count_features(database: str) -> int:
    with connect(database) as server:
        row = server.execute(b"SELECT count(*) FROM catalog_feature").fetchone()
        return int(row[0]) if row else 0


def test_a_backup_is_restored_where_there_is_no_database(backup: Path, product: str):
    assert restore_backup(backup).kept_as == ""
    assert list_databases(product) == [product]
    assert count_features(product) == 1


def test_the_previous_database_is_kept_and_a_killed_restore_cleared_away(backup: Path, product: str):
    create_database(product)
    create_database(f"{product}_being_restored")
    kept_as = restore_backup(backup).kept_as
    assert kept_as.startswith(f"{product}_before_2")
    assert list_databases(product) == [product, kept_as]
    assert count_features(product) == 1


def refuse_to_migrate(*args: Any, **kwargs: Any) -> None:
    raise CommandError("A migration couldn't lock its table.")


def test_a_backup_that_cant_be_migrated_changes_nothing(backup: Path, product: str, monkeypatch: pytest.MonkeyPatch):
    create_database(product)
    monkeypatch.setattr(restoring, "call_command", refuse_to_migrate)
    with pytest.raises(BackupFailed, match="can't be migrated to this release: A migration couldn't lock its table"):
        restore_backup(backup)
    assert list_databases(product) == [product]


def test_both_names_are_exchanged_or_neither(product: str):
    for name in (product, f"{product}_being_restored"):
        create_database(name)
    with (
        connect(f"{product}_being_restored"),  # lets the second step fail
        pytest.raises(BackupFailed, match="A process connected"),
    ):
        restoring._swap(product, f"{product}_being_restored")
    assert list_databases(product) == [product, f"{product}_being_restored"]


def test_the_latest_backup_is_one_whose_verification_didnt_fail(backup: Path, product: str):
    later = write_backup(backup.parent, now=NOW.replace(hour=9))
    write_result(later, "public.billing_invoice has 4 of 5 rows", at=NOW)
    output = StringIO()
    call_command("restore", "latest", folder=backup.parent, stdout=output)
    lines = output.getvalue().splitlines()
    assert lines[0] == f"Skipped {later}, whose verification failed: public.billing_invoice has 4 of 5 rows"
    assert lines[1].startswith(f"Restored {backup}: ")
    assert lines[2] == "There was no previous database."


@pytest.mark.slow
def test_a_restore_brings_everything_back_and_keeps_the_previous_database(migrated_database_url: str, tmp_path: Path):
    def manage(*command: str) -> str:
        env = os.environ | {
            "DATABASE_URL": migrated_database_url,
            "DATABASE_OWNER_URL": owner_url(migrated_database_url),
            "BACKUP_DIR": str(tmp_path),
        }
        command_line = [sys.executable, "manage.py", *command]
        done = subprocess.run(command_line, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def run(sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(owner_url(migrated_database_url), autocommit=True) as server:
            cursor = server.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    key = manage("create_api_key", "Production").strip()
    assert key.startswith("sk_")
    assert "every table is the same" in manage("backup", "--verify")
    run("UPDATE events_apikey SET name = 'overwritten by mistake'")
    with psycopg.connect(migrated_database_url):
        assert "Stop web, worker and beat first: 1 connections" in manage("restore", "latest")
    output = manage("restore", "latest")
    kept_as = output.split("is kept as ")[1].split(".")[0]
    try:
        assert run("SELECT name FROM events_apikey") == [("Production",)]
        with psycopg.connect(migrated_database_url) as application:  # its privileges are back
            assert application.execute("SELECT name FROM events_apikey").fetchall() == [("Production",)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute("TRUNCATE events_event")
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:  # as on a new server
            server.execute(f"DROP DATABASE {urlsplit(migrated_database_url).path[1:]} WITH (FORCE)".encode())
        assert "There was no previous database." in manage("restore", "latest")
        assert run("SELECT name FROM events_apikey") == [("Production",)]
        (backup,) = list_backups(tmp_path)
        manifest = json.loads((backup / "manifest.json").read_text())
        manifest["migrations"] = ["billing.9999_of_a_later_release"]
        (backup / "manifest.json").write_text(json.dumps(manifest))
        assert "was made by a later release" in manage("restore", "latest")
    finally:
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
            server.execute(f"DROP DATABASE {kept_as}".encode())
