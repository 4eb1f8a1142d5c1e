"""Worker and beat write a file while they work, which a health check of their container looks at."""

from celery.utils.imports import symbol_by_name
from django_celery_beat.schedulers import DatabaseScheduler

from config.celery import app
from config.server.heartbeat import PERIOD_S, WorkerHeartbeat, mark_alive
from config.server.scheduler import Scheduler


class Timer:
    def __init__(self):
        self.calls = []

    def call_repeatedly(self, seconds, function, arguments):
        self.calls.append((seconds, function, arguments))


class Worker:
    timer = Timer()


def test_a_worker_writes_its_file_at_once_and_every_few_seconds(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    WorkerHeartbeat(None).start(Worker)
    assert (tmp_path / "alive" / "worker").exists()
    assert Worker.timer.calls == [(PERIOD_S, mark_alive, ("worker",))]
    assert WorkerHeartbeat in app.steps["worker"]


def test_beat_writes_its_file_with_each_tick(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    scheduler = symbol_by_name(settings.CELERY_BEAT_SCHEDULER)
    assert scheduler is Scheduler
    monkeypatch.setattr(DatabaseScheduler, "tick", lambda self, *arguments: 1.0)
    assert Scheduler.tick(object.__new__(Scheduler)) == 1.0
    assert (tmp_path / "alive" / "beat").exists()
