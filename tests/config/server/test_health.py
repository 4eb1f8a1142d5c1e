"""Probes: whether the process lives, whether events can be stored, and whether they are counted."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import Heartbeat, Process
from config.server import health
from events.access.keys import make_key
from events.access.self_test import get_self_test_key
from events.models import InboxRequest
from tests.events.senders import send

pytestmark = pytest.mark.django_db
CHECKS = ("disk", "database", "migrations", "counting", "worker", "beat")


@pytest.fixture(autouse=True)
def all_is_well() -> None:
    write_heartbeat(Process.WORKER)
    write_heartbeat(Process.BEAT)


def ask(client: Client, path: str = "/readyz") -> tuple[int, Any]:
    response = client.get(path)
    return response.status_code, response.json()


@pytest.mark.parametrize("path", ["/readyz", "/readyz?strict=1", "/healthz"])
def test_the_server_is_ready_if_all_is_well(client: Client, path: str):
    assert ask(client, path) == (200, {"status": "ok", "reason": None, "checks": dict.fromkeys(CHECKS, "ok")})


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_probes_ask_by_ip_address_over_plain_http(settings: Settings, path: str):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["billing.example.com"], True
    assert Client(headers={"host": "10.1.2.3:8000"}).get(path).status_code == 200


def test_a_process_lives_without_the_database(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "check_readiness", None)
    assert ask(client, "/livez") == (200, {"status": "ok"})


def test_the_server_is_not_ready_before_the_migration(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "_table_of", lambda label: "no_such_table")
    status, body = ask(client)
    assert status == 503
    assert "isn't migrated" in body["reason"]


def test_the_server_is_not_ready_while_a_migration_of_its_release_is_missing(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(health._Migrations, "are_applied", False)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE; DELETE FROM django_migrations WHERE app = 'billing'; RESET ROLE")
    status, body = ask(client)
    assert status == 503
    assert body["reason"].startswith("The migration billing.")
    assert body["reason"].endswith("isn't applied.")


def test_migrations_of_a_newer_release_dont_matter(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health._Migrations, "are_applied", False)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE; INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'y', now())")
        cursor.execute("RESET ROLE")
    assert ask(client)[0] == 200
    assert health._Migrations.are_applied


def test_the_server_is_not_ready_without_the_database(client: Client, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        status, body = ask(client)
    assert (status, body["status"], body["reason"]) == (503, "unavailable", "The database can't be reached.")
    assert body["checks"] == {"disk": "ok", "database": "The database can't be reached."}


def test_the_server_is_not_ready_while_commits_wait_for_a_standby(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "commits_wait", lambda: True)
    status, body = ask(client)
    assert (status, body["reason"]) == (503, "Commits wait for a standby.")


def test_the_server_is_not_ready_while_the_database_is_read_only(client: Client):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
    assert ask(client)[1]["reason"] == "The database is read-only."


def test_the_server_is_not_ready_with_a_full_disk(client: Client, monkeypatch: pytest.MonkeyPatch):
    assert health.is_disk_full() is False
    monkeypatch.setattr(health, "is_disk_full", lambda: True)
    status, body = ask(client)
    assert (status, body["reason"]) == (503, "The database's disk is full.")


def test_a_disk_is_full_without_64_mib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings):
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=60 * 1024 * 1024))
    assert health.is_disk_full() is False  # another machine's database
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "postmaster.pid").touch()
    assert health.is_disk_full() is True


def test_events_that_wait_degrade_but_are_accepted(client: Client):
    send("api.calls", received_at=timezone.now() - timedelta(seconds=75))
    status, body = ask(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["counting"].startswith("Events have waited for 7")
    assert ask(client, "/readyz?strict=1")[0] == 503


def test_what_the_self_test_sent_isnt_waited_for(client: Client):
    key, _ = get_self_test_key(now=timezone.now())
    other, _ = make_key("Gateway")
    send("api.calls", received_at=timezone.now() - timedelta(seconds=75))
    InboxRequest.objects.update(api_key=key)
    assert ask(client, "/readyz?strict=1")[0] == 200
    InboxRequest.with_self_test.update(api_key=other)
    assert ask(client, "/readyz?strict=1")[0] == 503


@pytest.mark.parametrize("process", [Process.WORKER, Process.BEAT])
def test_a_silent_process_degrades(client: Client, process: Process):
    Heartbeat.objects.filter(process=process).update(seen_at=timezone.now() - timedelta(seconds=46))
    status, body = ask(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["reason"].startswith(f"{process.label} has been silent for 4")
    Heartbeat.objects.filter(process=process).delete()
    assert ask(client)[1]["reason"] == f"{process.label} was never seen."
    assert ask(client, "/readyz?strict=1")[0] == 503
