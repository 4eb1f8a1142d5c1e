"""The web process stands in when no one else checks, survives what fails, and says that the database was down."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.core import mail
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from config.alarms.mail import MAIL_LOCK
from config.alarms.models import Alarm
from config.monitoring import watcher
from config.monitoring.heartbeats import is_silent, write_heartbeat
from config.monitoring.models import Heartbeat, Process
from config.monitoring.rounds import ROUND_LOCK, run_round
from config.monitoring.watcher import Watcher, read_database_start, stand_in
from config.webhooks.delivering import WEBHOOKS_LOCK
from config.webhooks.models import WebhookDelivery
from tests.config.webhooks.messages import make_endpoint
from tests.config.webhooks.receiver import receiving
from tests.web_server import database_url

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def web_has_run_for_an_hour(db: None) -> None:
    write_heartbeat(Process.WEB)
    Heartbeat.objects.update(started_at=timezone.now() - timedelta(hours=1))


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection of the test, in whose transaction everything happens."""
    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setattr(watcher, "close_old_connections", lambda: None)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_no_one_stands_in_while_the_schedule_runs_the_checks():
    run_round()
    assert not is_silent(Process.CHECKS, now=timezone.now())
    Alarm.objects.all().delete()
    assert stand_in(now=timezone.now()) is False
    assert not Alarm.objects.exists()


def test_a_web_process_checks_if_no_one_did_for_45_seconds():
    run_round()
    Heartbeat.objects.filter(process=Process.CHECKS).update(seen_at=timezone.now() - timedelta(seconds=46))
    assert stand_in(now=timezone.now()) is True
    assert {"worker_silent", "beat_silent"} <= set(Alarm.objects.values_list("kind", flat=True))
    assert stand_in(now=timezone.now()) is False  # it counts as a round


@pytest.mark.django_db(transaction=True)
def test_webhooks_about_a_silent_worker_are_delivered_without_it(settings: Settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        make_endpoint(url=receiver.url)
        stand_in(now=timezone.now())
    kinds = [request.said["alarm"]["kind"] for request in receiver.received]
    assert "worker_silent" in kinds
    assert not WebhookDelivery.objects.exclude(state="delivered").exists()


def test_webhooks_are_left_to_a_worker_that_lives(monkeypatch: pytest.MonkeyPatch):
    write_heartbeat(Process.WORKER)
    make_endpoint()
    stand_in(now=timezone.now())
    assert {delivery.state for delivery in WebhookDelivery.objects.all()} == {"pending"}


def test_the_watcher_notes_an_outage_and_its_end(
    one_connection: None, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def refuse() -> None:
        raise OperationalError("connection refused")

    settings.DATA_DIR = tmp_path
    watching = Watcher()
    with monkeypatch.context() as patch:
        patch.setattr(watcher, "read_database_clock", refuse)
        watching.look()
    shared = tmp_path / "watcher" / "outage"
    assert shared.read_text().strip()
    watching.look()
    assert not shared.read_text().strip()


def test_a_database_that_was_restarted_is_an_alarm_for_ten_minutes(
    one_connection: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    settings.ALARM_EMAILS = ["ops@larkspur.example"]
    watching, started_at = Watcher(), read_database_start()
    watching.look()
    watching.look()
    assert not Alarm.objects.exists()
    restarted_at = timezone.now()
    monkeypatch.setattr(watcher, "read_database_start", lambda: restarted_at)
    watching.look()
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.status) == ("database_stopped", "open")
    assert f"was started again at {restarted_at:%Y-%m-%d %H:%M:%S} UTC" in alarm.message
    assert [email.subject[:52] for email in mail.outbox] == ["[Example Company] Alarm: PostgreSQL stopped, and was"]
    watching.look()
    assert Alarm.objects.get().status == "open"
    monkeypatch.setattr(watcher, "read_database_start", lambda: started_at - timedelta(hours=1))
    Watcher().look()  # whichever process looks, once the database has run for ten minutes
    assert Alarm.objects.get().status == "cleared"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("unexpected")])
def test_the_threads_survive_whatever_fails_and_say_so(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    calls: list[str] = []

    def fail(watching: Watcher, name: str) -> None:
        calls.append(name)
        raise error

    monkeypatch.setattr(watcher, "PERIOD_S", 0.01)
    monkeypatch.setattr(Watcher, "look", lambda watching: fail(watching, "look"))
    monkeypatch.setattr(Watcher, "beat", lambda watching: fail(watching, "beat"))
    watching = Watcher()
    watching.start()
    wait_until(lambda: calls.count("look") > 2 and calls.count("beat") > 2)
    watching.stop()
    assert "The thread watcher failed. It goes on." in caplog.messages


def test_a_mail_server_that_hangs_doesnt_stop_the_heartbeat(monkeypatch: pytest.MonkeyPatch):
    beats, hanging, answered = [], threading.Event(), threading.Event()

    def hang(watching: Watcher) -> None:
        hanging.set()
        answered.wait(20)

    monkeypatch.setattr(watcher, "PERIOD_S", 0.01)
    monkeypatch.setattr(watcher, "STOPS_WITHIN_S", 0.1)
    monkeypatch.setattr(Watcher, "look", hang)
    monkeypatch.setattr(Watcher, "beat", lambda watching: beats.append(1))
    watching = Watcher()
    watching.start()
    assert hanging.wait(20)
    seen = len(beats)
    wait_until(lambda: len(beats) > seen + 2)
    watching.stop()  # neither does it hold up the end
    answered.set()


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_hangs_in_a_round_stops_neither_checks_nor_emails_nor_webhooks(settings: Settings):
    settings.ALARM_EMAILS, settings.WEBHOOK_PRIVATE_TARGETS = ["ops@larkspur.example"], True
    with receiving() as receiver, psycopg.connect(database_url()) as hanging:
        make_endpoint(url=receiver.url)
        for lock in (ROUND_LOCK, MAIL_LOCK, WEBHOOKS_LOCK):
            hanging.execute("SELECT pg_advisory_lock(%s)", [lock])
        assert stand_in(now=timezone.now()) is True
    assert any("Worker was never seen." in email.subject for email in mail.outbox)
    assert "worker_silent" in [request.said["alarm"]["kind"] for request in receiver.received]
