"""The checks of every installation: each fault has its alarm, which names what to do."""

import re
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from pytest_django import Settings

from config.alarms.checks import find_all, run_checks
from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import Finding
from config.change_log.models import ChangeLogCheck, ChangeLogCopy
from config.limits import GIB
from config.monitoring import checks, locks
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.locks import Holder
from config.monitoring.models import Heartbeat, Process, TaskRecord
from tests.config.webhooks.messages import make_endpoint
from tests.web_server import database_url

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def all_is_well() -> None:
    """Let all processes live, and all schedules have run."""
    for process in (Process.WEB, Process.WORKER, Process.BEAT):
        write_heartbeat(process)
    now = timezone.now()
    Heartbeat.objects.update(started_at=now - timedelta(hours=1))
    for schedule in PeriodicTask.objects.all():
        TaskRecord.objects.get_or_create(task=schedule.task, defaults={"started_at": now})
    PeriodicTask.objects.update(last_run_at=now)


def found(kind: AlarmKind | None = None) -> list[Finding]:
    findings = [finding for findings in find_all(now=timezone.now()).values() for finding in findings]
    return [finding for finding in findings if kind in (None, finding.kind)]


def test_nothing_is_found_if_all_is_well():
    assert found() == []
    assert run_checks(now=timezone.now()) == 0
    assert not Alarm.objects.exists()


@pytest.mark.parametrize(
    ("process", "kind", "effect"),
    [
        (Process.WEB, AlarmKind.WEB_SILENT, "No events are accepted"),
        (Process.WORKER, AlarmKind.WORKER_SILENT, "Events are accepted, but not counted"),
        (Process.BEAT, AlarmKind.BEAT_SILENT, "No schedule runs"),
    ],
)
def test_a_silent_process_is_found_with_what_it_means(process: Process, kind: AlarmKind, effect: str):
    Heartbeat.objects.filter(process=process).update(seen_at=timezone.now() - timedelta(seconds=50))
    (finding,) = found()
    assert finding.kind == kind
    assert effect in finding.message
    assert re.search(rf"{process.label} has been silent since \d\d:\d\d:\d\d UTC", finding.message)
    assert f"docker compose restart {process.value}" in finding.what_to_do
    Heartbeat.objects.filter(process=process).delete()
    assert "was never seen" in found()[0].message


def test_a_clock_that_differs_is_found_with_its_machine():
    Heartbeat.objects.filter(process=Process.WORKER).update(host="app-2", clock_ahead_s=3_888_000)
    (finding,) = found()
    assert (finding.kind, finding.about) == (AlarmKind.CLOCK_DIFFERS, "app-2")
    assert finding.message == "The clock of app-2 is 64,800 minutes ahead of the database's. No task runs there."
    Heartbeat.objects.filter(process=Process.WORKER).update(clock_ahead_s=-59)
    assert found() == []


def test_nothing_is_silent_while_the_installation_starts():
    Heartbeat.objects.filter(process=Process.WORKER).delete()
    Heartbeat.objects.update(started_at=timezone.now() - timedelta(seconds=60))
    assert found() == []
    Heartbeat.objects.filter(process=Process.BEAT).update(started_at=timezone.now() - timedelta(seconds=91))
    assert found()[0].kind == AlarmKind.WORKER_SILENT


def test_missed_schedules_are_one_alarm_and_none_if_beat_or_the_worker_is_silent():
    long_ago = timezone.now() - timedelta(days=3)
    TaskRecord.objects.filter(task__startswith="config.tasks").update(started_at=long_ago)
    (finding,) = found()
    assert re.match(r"\d+ schedules haven't run in time since ", finding.message)
    assert "“Deliver webhooks”" in finding.message
    Heartbeat.objects.filter(process=Process.BEAT).delete()
    assert [finding.kind for finding in found()] == [AlarmKind.BEAT_SILENT]


def test_a_missed_and_a_failing_schedule_are_found_by_name():
    long_ago = timezone.now() - timedelta(days=3)
    TaskRecord.objects.filter(task="config.tasks.verify_change_log").update(started_at=long_ago)
    TaskRecord.objects.filter(task="events.tasks.prune").update(failing_since=long_ago, error="ValueError: no")
    missed, failing = sorted(found(), key=lambda finding: finding.kind)
    assert missed.kind == AlarmKind.SCHEDULE_MISSED
    assert missed.message.endswith("UTC: “Verify the change log”.")
    assert (failing.kind, failing.about) == (AlarmKind.TASK_FAILING, "Remove expired events and logs")
    assert "ValueError: no" in failing.message


def test_a_webhook_endpoint_is_found_after_a_minute_of_failures_and_when_it_is_disabled():
    now = timezone.now()
    endpoint = make_endpoint(failing_since=now - timedelta(seconds=30))
    assert found() == []
    endpoint.failing_since = now - timedelta(minutes=2)
    endpoint.save()
    (finding,) = found()
    assert (finding.kind, finding.about) == (AlarmKind.WEBHOOK_FAILING, endpoint.public_id)
    assert (
        f"The webhook endpoint {endpoint.public_id} at shop.test fails. It has accepted nothing since"
        in finding.message
    )
    assert "/hooks" not in finding.message + finding.what_to_do  # the path can be a secret
    endpoint.is_enabled, endpoint.disabled_reason = False, "Automatically disabled: gone."
    endpoint.save()
    assert "Automatically disabled: gone." in found()[0].message
    endpoint.disabled_reason = ""
    endpoint.save()
    assert found() == []  # a colleague disabled it


def test_a_broken_change_log_is_found_until_a_verification_finds_no_problem():
    now = timezone.now()
    ChangeLogCheck.objects.create(checked_at=now, entries=7, problem="entry 7, number 7, was deleted.")
    (finding,) = found()
    assert finding.kind == AlarmKind.CHANGE_LOG_BROKEN
    assert "entry 7, number 7, was deleted." in finding.message
    ChangeLogCheck.objects.create(checked_at=now, entries=8)
    assert found() == []


def test_a_copy_of_the_change_log_that_stopped_is_found(settings: Settings):
    settings.CHANGE_LOG_STREAM = "https://logs.example/ingest/secret"
    copy = ChangeLogCopy.objects.create(target=settings.CHANGE_LOG_STREAM, error="refused", copied_at=timezone.now())
    assert found() == []
    copy.copied_at = timezone.now() - timedelta(minutes=6)
    copy.save()
    (finding,) = found()
    assert finding.kind == AlarmKind.CHANGE_LOG_NOT_COPIED
    assert finding.message == "The change log isn't copied to logs.example: refused"


@pytest.mark.django_db(transaction=True)
def test_a_session_that_others_wait_for_is_found_with_how_to_end_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.monitoring.locks.WAITING_S", 0.01)
    with psycopg.connect(database_url()) as holder, psycopg.connect(database_url()) as other:
        pid = holder.info.backend_pid
        holder.execute("LOCK TABLE catalog_plan IN ACCESS EXCLUSIVE MODE")
        waiting = threading.Thread(target=_wait_for_lock, args=[other])
        waiting.start()
        try:
            findings = next(filter(None, iter(lambda: found(AlarmKind.LOCK_HELD), None)))
        finally:
            holder.rollback()
            waiting.join()
    assert re.match(
        rf"1 session waits, the longest for \d+ seconds, for a lock of the session {pid} \(", findings[0].message
    )
    assert f"SELECT pg_terminate_backend({pid}); ends it" in findings[0].what_to_do
    assert found(AlarmKind.LOCK_HELD) == []


def _wait_for_lock(session: "psycopg.Connection[tuple[object, ...]]") -> None:
    session.execute("LOCK TABLE catalog_plan IN ACCESS SHARE MODE")
    session.rollback()


def test_a_disk_with_less_than_two_gigabytes_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    settings.DATA_DIR = tmp_path
    usage = SimpleNamespace(total=100 * GIB, free=1.5 * GIB)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert found() == []  # another machine's database
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "postmaster.pid").touch()
    (finding,) = found()
    assert (finding.kind, finding.message) == (AlarmKind.DISK_LOW, "The disk of the database has 1.5 GB left.")
    usage.free = 2 * GIB
    assert found() == []


def test_nine_tenths_of_the_quota_are_found(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "measure_database", lambda: 9 * GIB)
    settings.DATABASE_QUOTA_GB = 10
    (finding,) = found()
    assert (finding.kind, finding.about) == (AlarmKind.DISK_LOW, "quota")
    assert finding.message == "The database takes 9.0 GB of its quota of 10.0 GB."
    settings.DATABASE_QUOTA_GB = 10.1
    assert found() == []


def test_every_kind_of_alarm_is_documented_with_what_to_do(settings: Settings):
    text = (settings.BASE_DIR / "docs" / "operations.md").read_text()
    assert [kind for kind in AlarmKind.values if f"`{kind}`" not in text] == []


def holder(pid: int, *, waiting_s: float, held_s: float) -> Holder:
    return Holder(pid, "countinghouse_app", "psql", waiting=2, waiting_s=waiting_s, held_s=held_s)


@pytest.mark.parametrize(
    ("waiting_s", "held_s", "is_found"),
    [(0.1, 3600, False), (2, 61, True), (2, 59, False), (29, 29, False), (30, 30, True), (30, 0, True)],
)
def test_a_lock_is_found_after_a_while(
    waiting_s: float, held_s: float, is_found: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(locks, "list_holders", lambda: [holder(7, waiting_s=waiting_s, held_s=held_s)])
    assert bool(found(AlarmKind.LOCK_HELD)) is is_found


def test_locks_of_several_sessions_are_one_alarm(monkeypatch: pytest.MonkeyPatch):
    holders = [holder(pid, waiting_s=40, held_s=50) for pid in range(1, 8)]
    monkeypatch.setattr(locks, "list_holders", lambda: holders)
    (finding,) = found(AlarmKind.LOCK_HELD)
    assert finding.about == ""
    assert finding.message.startswith(
        "14 sessions wait, the longest for 40 seconds, for locks of the sessions 1 (count"
    )
    assert finding.message.endswith("5 (countinghouse_app, psql) and 2 more.")
    assert "SELECT pg_terminate_backend(5); ends them" in finding.what_to_do


def test_a_schedule_that_is_disabled_or_deleted_is_found_with_what_doesnt_happen():
    PeriodicTask.objects.filter(task="billing.tasks.run_billing").update(enabled=False, name="Our billing")
    PeriodicTask.objects.filter(task="events.tasks.roll_up").delete()
    daily = CrontabSchedule.objects.first()
    PeriodicTask.objects.create(name="Ours", task="ours.tasks.run", crontab=daily, enabled=False)
    deleted, disabled = sorted(found(), key=lambda finding: finding.message)[::-1]
    assert {disabled.kind, deleted.kind} == {AlarmKind.SCHEDULE_DISABLED}
    assert disabled.message == "The schedule “Our billing” is disabled."
    assert disabled.what_to_do.startswith("Enable it again, or acknowledge the alarm if that is on purpose.")
    assert deleted.message == "The schedule “Roll up past days of usage” was deleted."
    assert "Add it again, with the task events.tasks.roll_up" in deleted.what_to_do
