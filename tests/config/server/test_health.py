"""The health check reports whether events can be stored."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from config.server import health


def test_the_server_is_ready_if_the_inbox_exists(client: Client, db: None):
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_the_server_is_not_ready_before_the_migration(client: Client, db: None, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(health._get_inbox_model()._meta, "db_table", "no_such_table")
        response = client.get("/healthz")
    assert response.status_code == 503
    assert "isn't migrated" in response.json()["reason"]


def test_the_server_is_not_ready_without_the_database(client: Client, db: None, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "reason": "The database can't be reached."}


def test_the_server_is_not_ready_with_a_full_disk(client: Client, db: None, monkeypatch: pytest.MonkeyPatch):
    assert health._is_disk_full() is False
    monkeypatch.setattr(health, "_is_disk_full", lambda: True)
    assert client.get("/healthz").json() == {"status": "unavailable", "reason": "The database's disk is full."}


def test_a_disk_is_full_without_64_mib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings):
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=60 * 1024 * 1024))
    assert health._is_disk_full() is False  # another machine's database
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "postmaster.pid").touch()
    assert health._is_disk_full() is True
