"""The web process stands in when no one else checks, and mails on its own about an outage of the database."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from config.alarms.models import Alarm
from config.monitoring import watcher
from config.monitoring.heartbeats import is_silent, write_heartbeat
from config.monitoring.models import Heartbeat, Process
from config.monitoring.rounds import run_round
from config.monitoring.watcher import Watcher, end_outage, note_outage, stand_in
from config.webhooks.models import WebhookDelivery
from tests.config.webhooks.messages import make_endpoint
from tests.config.webhooks.receiver import receiving

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def outages(settings: Settings, tmp_path) -> None:
    settings.DATA_DIR = tmp_path
    settings.ALARM_EMAILS = ["ops@larkspur.example"]


@pytest.fixture(autouse=True)
def web_has_run_for_an_hour(db: None) -> None:
    write_heartbeat(Process.WEB)
    Heartbeat.objects.update(started_at=timezone.now() - timedelta(hours=1))


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


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


def test_an_outage_is_mailed_after_a_minute_once_a_day_and_at_its_end(outages: None):
    assert [note_outage("refused", now=at(seconds)) for seconds in (0, 30, 60, 90, 3600)] == [
        *[False, False, True, False, False]
    ]
    assert note_outage("refused", now=at(60 + 86_400)) is True
    assert end_outage() is True
    assert end_outage() is False
    assert [email.subject for email in mail.outbox] == [
        "[Example Company] Alarm: PostgreSQL can't be reached",
        "[Example Company] Alarm: PostgreSQL can't be reached",
        "[Example Company] Cleared: PostgreSQL responds again",
    ]
    assert "PostgreSQL doesn't respond since 2026-03-10 12:00:00 UTC." in mail.outbox[0].body
    assert "What to do: check that PostgreSQL runs" in mail.outbox[0].body


def test_a_short_outage_isnt_mailed(outages: None):
    note_outage("refused", now=at(0))
    assert end_outage() is False
    assert note_outage("refused", now=at(70)) is False
    assert mail.outbox == []


def test_the_watcher_notes_an_outage_and_its_end(outages: None, monkeypatch: pytest.MonkeyPatch, tmp_path):
    def refuse() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setattr(watcher, "close_old_connections", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(watcher, "read_database_clock", refuse)
        Watcher().look(may_check=True)
    assert (tmp_path / "alive" / "outage").exists()
    Watcher().look(may_check=False)
    assert not (tmp_path / "alive" / "outage").exists()
