"""`manage.py doctor` says in one screen what is wrong and what to do, and changes nothing."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django import Settings

from config.alarms.models import Alarm
from config.monitoring.disk import EXTEND_DISK
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import Heartbeat, Process, TaskRecord
from config.monitoring.outages.unreachable import CHECK_POSTGRES
from config.monitoring.outages.unstored import MAKE_ROOM
from config.server import health

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def all_is_well(settings: Settings) -> None:
    for process in (Process.WEB, Process.WORKER, Process.BEAT):
        write_heartbeat(process)
    Heartbeat.objects.update(started_at=timezone.now() - timedelta(hours=1))
    for schedule in PeriodicTask.objects.all():
        TaskRecord.objects.get_or_create(task=schedule.task, defaults={"started_at": timezone.now()})
    PeriodicTask.objects.update(last_run_at=timezone.now())
    settings.ALARM_EMAILS, settings.METRICS_TOKEN = ["ops@larkspur.example"], "token"


def ask() -> tuple[int, list[str]]:
    """Return the exit status and the lines."""
    out, status = StringIO(), 0
    try:
        call_command("doctor", stdout=out, no_color=True)
    except SystemExit as error:
        status = int(error.code or 0)
    return status, [line.strip() for line in out.getvalue().splitlines() if line]


def test_all_is_well():
    status, lines = ask()
    assert status == 0
    assert lines[0].startswith("Countinghouse 0.1.0, ")
    assert lines[0].endswith("UTC: all is well.")
    assert lines[1].startswith("✓ In order: ")
    assert {"processes", "the inbox", "billing runs"} <= set(lines[1].removesuffix(".").partition(": ")[2].split(", "))


def test_each_problem_has_what_to_do():
    Heartbeat.objects.filter(process=Process.WORKER).delete()
    status, lines = ask()
    assert status == 1
    assert lines[0].endswith("1 problem.")
    assert lines[1].startswith("✗ Worker was never seen. Events are accepted, but not counted")
    assert lines[2].startswith("→ Start worker again")
    assert not Alarm.objects.exists()


def test_a_locked_inbox_is_the_only_problem_that_matters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "find_unready_reason", lambda: "The events inbox is locked by another session.")
    status, lines = ask()
    assert status == 1
    assert lines[1] == "✗ The events inbox is locked by another session."
    assert lines[2] == "→ If it is a person's session, ask them to commit or roll back."


def test_what_isnt_set_is_named(settings: Settings):
    settings.ALARM_EMAILS, settings.METRICS_TOKEN = [], ""
    status, lines = ask()
    assert status == 0
    assert [line.partition(",")[0] for line in lines[2:]] == ["Not set: ALARM_EMAILS", "Not set: METRICS_TOKEN"]


@pytest.mark.parametrize(
    ("name", "problem", "what_to_do"),
    [
        ("is_disk_full", True, EXTEND_DISK),
        ("find_unready_reason", health.UNREACHABLE, CHECK_POSTGRES),
        ("find_unready_reason", health.NOT_MIGRATED, health.MIGRATE),
        ("find_unready_reason", health.READ_ONLY, MAKE_ROOM),
        ("find_missing_migration", "The migration events.0099 isn't applied.", health.MIGRATE),
    ],
)
def test_each_reason_not_to_be_ready_has_its_own_advice(
    name: str, problem: object, what_to_do: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(health, name, lambda: problem)
    status, lines = ask()
    assert status == 1
    assert lines[2] == f"→ {what_to_do}"
