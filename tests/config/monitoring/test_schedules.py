"""Schedules against their plan: missed after their tolerance, failing, or in order."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from config.monitoring.models import TaskRecord
from config.monitoring.schedules import ScheduleStatus, read_schedules

pytestmark = pytest.mark.django_db
NIGHT = datetime(2026, 3, 10, 3, 10, tzinfo=UTC)
PRUNE, INBOX = "events.tasks.prune", "events.tasks.process_inbox"


def status(task: str, now: datetime) -> ScheduleStatus:
    return next(status for status in read_schedules(now=now) if status.schedule.task == task)


def started(task: str, at: datetime, **values: object) -> None:
    PeriodicTask.objects.filter(task=task).update(last_run_at=at)
    TaskRecord.objects.update_or_create(task=task, defaults={"started_at": at, **values})


def test_a_nightly_schedule_is_missed_five_minutes_after_its_time():
    started(PRUNE, NIGHT - timedelta(days=1))
    assert status(PRUNE, NIGHT + timedelta(minutes=5)).is_missed is False
    missed = status(PRUNE, NIGHT + timedelta(minutes=6))
    assert (missed.is_missed, missed.due_at) == (True, NIGHT)
    started(PRUNE, NIGHT + timedelta(minutes=7))
    assert status(PRUNE, NIGHT + timedelta(minutes=8)).due_at == NIGHT + timedelta(days=1)
    assert not status(PRUNE, NIGHT + timedelta(minutes=8)).is_missed


def test_a_frequent_schedule_is_missed_after_a_minute_and_a_half():
    started(INBOX, NIGHT)
    assert not status(INBOX, NIGHT + timedelta(seconds=91)).is_missed
    assert status(INBOX, NIGHT + timedelta(seconds=92)).is_missed


def test_a_schedule_that_never_ran_is_due_after_it_was_saved():
    PeriodicTask.objects.filter(task=PRUNE).update(last_run_at=None, date_changed=NIGHT - timedelta(hours=3))
    assert status(PRUNE, NIGHT).due_at == NIGHT
    assert status(PRUNE, NIGHT + timedelta(minutes=6)).is_missed


def test_a_schedule_that_is_switched_on_again_is_due_from_then_on():
    started(PRUNE, NIGHT - timedelta(days=9))
    PeriodicTask.objects.filter(task=PRUNE).update(last_run_at=None, date_changed=NIGHT + timedelta(hours=1))
    assert status(PRUNE, NIGHT + timedelta(hours=2)).due_at == NIGHT + timedelta(days=1)


def test_the_first_run_counts_before_beat_has_noted_it():
    started(INBOX, NIGHT)
    PeriodicTask.objects.filter(task=INBOX).update(last_run_at=None, date_changed=NIGHT - timedelta(hours=1))
    assert not status(INBOX, NIGHT + timedelta(seconds=60)).is_missed


def test_what_beat_sent_but_no_worker_started_is_missed():
    started(INBOX, NIGHT)
    PeriodicTask.objects.filter(task=INBOX).update(last_run_at=NIGHT + timedelta(minutes=10))
    assert status(INBOX, NIGHT + timedelta(minutes=10)).is_missed


def test_a_disabled_schedule_is_never_missed():
    started(PRUNE, NIGHT - timedelta(days=9))
    PeriodicTask.objects.filter(task=PRUNE).update(enabled=False)
    disabled = status(PRUNE, NIGHT)
    assert (disabled.due_at, disabled.is_missed, disabled.is_failing) == (None, False, False)


@pytest.mark.parametrize(("task", "seconds", "is_failing"), [(PRUNE, 1, True), (INBOX, 59, False), (INBOX, 60, True)])
def test_a_frequent_task_fails_after_a_minute_and_a_nightly_one_at_once(task: str, seconds: int, is_failing: bool):
    started(task, NIGHT, failing_since=NIGHT, error="ValueError: no")
    assert status(task, NIGHT + timedelta(seconds=seconds)).is_failing is is_failing
