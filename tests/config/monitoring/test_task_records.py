"""Workers record how tasks ran: at most every ten seconds, failures at once."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from config.monitoring import task_records
from config.monitoring.models import TaskRecord
from config.monitoring.task_records import note_end, note_start, write_rest

pytestmark = pytest.mark.django_db


class Task:
    name = "events.tasks.process_inbox"


class Clock:
    now = 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(task_records, "_tallies", {})
    monkeypatch.setattr(task_records, "_started", {})
    monkeypatch.setattr("time.monotonic", lambda: Clock.now)
    Clock.now = 1000.0
    return Clock


def run(error: Exception | None = None) -> None:
    note_start(task_id="1", task=Task)
    note_end(task_id="1", task=Task, retval=error or 3, state="FAILURE" if error else "SUCCESS")


def record() -> TaskRecord:
    return TaskRecord.objects.get(task=Task.name)


def test_a_run_is_recorded_with_its_times():
    before = timezone.now()
    run()
    assert before <= record().started_at <= record().succeeded_at <= timezone.now()
    assert (record().runs, record().failures, record().failing_since) == (1, 0, None)


def test_frequent_runs_are_added_up_and_written_every_ten_seconds(clock: type[Clock]):
    for _ in range(9):
        run()
        clock.now += 1
    assert record().runs == 1
    clock.now += 1
    run()
    assert record().runs == 10
    run()
    write_rest()
    assert record().runs == 11


def test_a_failure_is_written_at_once_and_so_is_the_success_after_it():
    run()
    run(ValueError("no such plan"))
    first = record()
    assert (first.runs, first.failures, first.error) == (2, 1, "ValueError: no such plan")
    assert first.failing_since == first.failed_at
    run(ValueError("still no plan"))
    write_rest()
    assert record().failing_since == first.failing_since
    run()
    assert (record().failing_since, record().runs, record().failures) == (None, 4, 2)


def test_a_task_that_waits_for_its_retry_isnt_counted():
    note_start(task_id="1", task=Task)
    note_end(task_id="1", task=Task, retval=None, state="RETRY")
    assert record().runs == 0


def test_the_error_of_a_task_has_no_values_of_rows():
    TaskRecord.objects.create(task="anna@larkspur.example", started_at=timezone.now())
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        TaskRecord.objects.create(task="anna@larkspur.example", started_at=timezone.now())
    run(raised.value)
    assert record().error.startswith("IntegrityError: duplicate key value violates unique constraint")
    assert "anna" not in record().error
