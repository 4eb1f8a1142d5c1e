"""Processes write that they live, and how their clock compares with the database's."""

import os
from datetime import timedelta

import pytest
from celery.utils.imports import symbol_by_name
from django.db import OperationalError, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from config.celery import app
from config.monitoring import locks, worker
from config.monitoring.checks import FAILING_AFTER
from config.monitoring.heartbeats import PERIOD_S as PERIOD_S_OF_PULSE
from config.monitoring.heartbeats import Pulse, is_silent, write_briefly, write_heartbeat
from config.monitoring.models import SILENT_AFTER, Heartbeat, Process
from config.monitoring.worker import WorkerHeartbeat
from config.server.heartbeat import PERIOD_S

pytestmark = pytest.mark.django_db


class Timer:
    def __init__(self):
        self.calls = []

    def call_repeatedly(self, seconds, function):
        self.calls.append((seconds, function))


class Worker:
    def __init__(self):
        self.timer, self.steps = Timer(), []


def test_a_process_has_one_row_that_says_when_it_was_seen():
    write_heartbeat(Process.WEB)
    first = Heartbeat.objects.get()
    write_heartbeat(Process.WEB)
    second = Heartbeat.objects.get()
    assert (second.pid, second.process, second.version) == (os.getpid(), "web", "0.1.0")
    assert second.started_at == first.started_at
    assert second.seen_at > first.seen_at
    assert abs(second.clock_ahead_s) < 5


def test_a_process_replaces_those_that_ran_before_it_on_its_machine():
    write_heartbeat(Process.WORKER)
    earlier = timezone.now() - timedelta(minutes=2)
    Heartbeat.objects.update(pid=1, seen_at=earlier)
    write_heartbeat(Process.WORKER)
    assert [row.pid for row in Heartbeat.objects.all()] == [os.getpid()]


def test_a_process_is_silent_if_it_was_never_seen_or_not_lately():
    now = timezone.now()
    assert is_silent(Process.BEAT, now=now)
    write_heartbeat(Process.BEAT)
    assert not is_silent(Process.BEAT, now=timezone.now())
    assert is_silent(Process.BEAT, now=timezone.now() + timedelta(seconds=50))
    assert is_silent(Process.WORKER, now=now)


def test_a_clock_that_is_ahead_is_noted(monkeypatch: pytest.MonkeyPatch):
    ahead = timezone.now() + timedelta(days=45)
    monkeypatch.setattr(timezone, "now", lambda: ahead)
    write_heartbeat(Process.WORKER)
    assert round(Heartbeat.objects.get().clock_ahead_s / 86400) == 45


def test_a_pulse_writes_every_ten_seconds_and_survives_an_outage(monkeypatch: pytest.MonkeyPatch):
    written, seconds = [], iter([100.0, 109.9, 110.0, 119.0, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))

    def write(process: Process) -> None:
        written.append(process)
        raise OperationalError("connection refused")

    pulse = Pulse(Process.WEB, write)
    for _ in range(5):
        pulse.beat()
    assert written == [Process.WEB] * 3


def test_a_worker_beats_at_once_and_every_five_seconds(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    parent = Worker()
    beats: list[Process] = []
    monkeypatch.setattr(worker, "write_briefly", beats.append)
    step = WorkerHeartbeat(parent)
    step.start(parent)
    assert (tmp_path / "alive" / "worker").exists()
    assert beats == [Process.WORKER]
    assert parent.timer.calls == [(PERIOD_S, step.beat)]
    assert WorkerHeartbeat in {symbol_by_name(step) for step in app.steps["worker"]}


@pytest.mark.django_db(transaction=True)
def test_a_workers_heartbeat_leaves_no_connection_that_its_processes_would_share():
    connection.close()
    write_briefly(Process.WORKER)
    assert connection.connection is None
    assert Heartbeat.objects.get().process == "worker"


def test_whatever_is_silent_is_an_alarm_within_two_minutes():
    """Add up the waits in production: those of test_alarms are a tenth of them."""
    round_s = PeriodicTask.objects.get(task="config.tasks.check_for_alarms").interval.schedule.run_every.total_seconds()
    silent_s, look_s = SILENT_AFTER.total_seconds(), PERIOD_S_OF_PULSE
    assert silent_s + round_s + look_s <= 120  # beside a worker, or a web process that looks
    last_round_s = silent_s + look_s  # without a worker: until a web process stands in, and once more
    assert last_round_s + silent_s + look_s <= 120
    assert max(locks.WAITING_S, locks.HELD_S) + round_s + look_s <= 120
    assert FAILING_AFTER.total_seconds() + round_s <= 120
