"""A PostgreSQL that refuses to write: notices are sent without storing anything, and the alarm is stored afterwards."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import InternalError, connection
from django.utils import timezone
from pytest_django import Settings

from config.alarms.models import Alarm
from config.monitoring import watcher
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import Heartbeat, Process
from config.monitoring.outages import unstored
from config.monitoring.outages.unstored import Unstored, clear_shown
from config.monitoring.watcher import Watcher
from tests.config.webhooks.messages import make_endpoint, sent_messages
from tests.config.webhooks.receiver import Receiver, receiving
from tests.owner import as_owner

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY_S = 86_400
LIMIT = 16 * 2**20  # bytes of a file; segments of the write-ahead log are as large
FILL = """
    INSERT INTO config_alarm (public_id, kind, about, message, what_to_do, url, opened_at, seen_at, cleared_at,
        acknowledged_key, note)
    SELECT 'alarm_' || number, 'disk_low', '', repeat('x', 1850), '', '', now(), now(), now(), '', ''
    FROM generate_series(1, 8400) AS number
"""


@pytest.fixture(autouse=True)
def notices(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.ALARM_EMAILS, settings.WEBHOOK_PRIVATE_TARGETS = ["ops@larkspur.example"], True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        make_endpoint(url=receiver.url)
        yield receiver


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def note(refusing: Unstored, *seconds: int) -> list[bool]:
    return [refusing.note("No space left on device", now=at(second)) for second in seconds]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let the test's session of PostgreSQL fail to extend the table of alarms, as on a full disk, inside the block."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE config_alarm")  # earlier tests may have left free pages
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(cursor.fetchone()[0])
    assert backend.name() == "postgres", "The tests' PostgreSQL must run on this machine."
    limit_files(backend, str(LIMIT))
    try:
        yield
    finally:
        limit_files(backend, "unlimited")


def limit_files(process: psutil.Process, size: str) -> None:
    """Limit the size of files that a process writes. Its own user may do so, unlike root in a container."""
    command = ["prlimit", f"--pid={process.pid}", f"--fsize={size}:"]
    subprocess.run(command, check=True, **as_user_of(process))


def as_user_of(process: psutil.Process) -> dict[str, Any]:
    if process.uids().real == os.getuid():
        return {}
    return {"user": process.uids().real, "group": process.gids().real, "extra_groups": []}


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watcher:
    """Return a watcher that checks and sends at once, on the test's connection, as if web had run for an hour."""
    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setattr(watcher, "close_old_connections", lambda: None)
    monkeypatch.setattr(watcher, "STARTING", timedelta(0))
    monkeypatch.setattr(unstored, "NOTIFIED_AFTER", timedelta(0))
    write_heartbeat(Process.WEB)
    Heartbeat.objects.update(started_at=timezone.now() - timedelta(hours=1))
    return Watcher()


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_is_mailed_and_sent_as_webhook_and_the_alarm_is_stored_once_it_has_space(
    watching: Watcher, receiver: Receiver
):
    with full_disk():
        watching.look()
        watching.look()
        assert not Alarm.objects.open().exists()
    (email,) = mail.outbox
    assert email.subject == "[Example Company] Alarm: PostgreSQL refuses to write"
    assert "The error: could not extend file" in email.body
    assert "What to do: Make room on PostgreSQL's disk" in email.body
    assert "Worker was never seen." in email.body  # what the checks find is in no list now
    (request,) = receiver.received
    assert (request.said["event_type"], request.said["alarm"]["kind"]) == ("alarm.opened", "writes_refused")

    watching.look()
    alarm = Alarm.objects.get(kind="writes_refused")
    assert (alarm.public_id, alarm.status) == (request.said["alarm"]["id"], "open")
    assert alarm.opened_at < alarm.seen_at
    assert alarm.message.startswith("PostgreSQL refused to write from ")
    assert "could not extend file" in alarm.message
    assert ("alarm.opened", alarm.public_id) in sent_messages()
    subjects = [email.subject.removeprefix("[Example Company] ") for email in mail.outbox[1:]]
    assert not [subject for subject in subjects if "refuse" in subject]  # it was mailed already
    assert "Alarm: Worker was never seen. Events are accepted, but not counted; nothing is billed." in subjects
    watching.look()
    assert Alarm.objects.filter(kind="writes_refused").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_is_mailed(watching: Watcher):
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            watching.look()
            with pytest.raises(InternalError):
                write_heartbeat(Process.WEB)
        finally:
            cursor.execute("SET default_transaction_read_only = off")
    assert "in a read-only transaction" in mail.outbox[0].body


def test_notices_are_sent_after_30_seconds_and_once_a_day_the_webhook_once(receiver: Receiver):
    refusing = Unstored()
    assert note(refusing, 0, 20, 30, 40, 3600, 30 + DAY_S) == [False, False, True, False, False, True]
    assert [len(mail.outbox), len(receiver.received)] == [2, 1]
    assert "PostgreSQL responds, but has refused to write since 2026-03-10 12:00:00 UTC." in mail.outbox[0].body


def test_the_processes_of_a_machine_send_one_notice_and_store_one_alarm(receiver: Receiver):
    first, second = Unstored(), Unstored()
    assert [*note(first, 0), *note(second, 5), *note(first, 31), *note(second, 36)] == [False, False, True, False]
    alarm = second.end(now=at(60))
    assert alarm
    assert (alarm.opened_at, alarm.mailed_at, alarm.seen_at) == (at(0), at(31), at(60))
    assert first.end(now=at(65)) is None
    assert alarm.message == (
        "PostgreSQL refused to write from 2026-03-10 12:00:00 to 2026-03-10 12:01:00 UTC: No space left on device"
    )


def test_a_short_refusal_is_no_alarm():
    refusing = Unstored()
    note(refusing, 0, 10)
    assert refusing.is_noted()
    assert refusing.end(now=at(20)) is None
    assert not refusing.is_noted()
    assert not Alarm.objects.exists()


def test_the_alarm_is_stored_once_if_the_process_is_killed_before_it_forgets(monkeypatch: pytest.MonkeyPatch):
    refusing = Unstored()
    note(refusing, 0, 30)
    with monkeypatch.context() as patch:
        patch.setattr(refusing._times, "end", list)
        assert refusing.end(now=at(60))
    clear_shown(now=at(700))
    assert Unstored().end(now=at(710)) == Alarm.objects.get()
    assert Alarm.objects.get().status == "cleared"


def test_the_alarm_is_shown_for_ten_minutes():
    refusing = Unstored()
    note(refusing, 0, 30)
    refusing.end(now=at(60))
    assert [clear_shown(now=at(659)), clear_shown(now=at(660))] == [0, 1]


def test_an_email_that_couldnt_be_sent_is_sent_the_next_time_without_another_webhook(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    def refuse(backend: EmailBackend, messages: object) -> int:
        raise TimeoutError("timed out")

    refusing = Unstored()
    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refuse)
        assert note(refusing, 0, 30) == [False, False]
    assert note(refusing, 40) == [True]
    assert [len(mail.outbox), len(receiver.received)] == [1, 1]


def test_webhooks_suffice_without_addresses(receiver: Receiver, settings: Settings):
    settings.ALARM_EMAILS = []
    refusing = Unstored()
    assert note(refusing, 0, 30, 40) == [False, True, False]
    assert len(receiver.received) == 1
    alarm = refusing.end(now=at(60))
    assert alarm
    assert alarm.mailed_at is None
