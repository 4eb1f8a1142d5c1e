"""Beat writes a file while it works, which a health check of its container looks at. One of several beats works."""

from datetime import timedelta

import pytest
from celery.utils.imports import symbol_by_name
from django.utils import timezone
from django_celery_beat import schedulers
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from config.celery import app
from config.server import scheduler
from config.server.heartbeat import mark_alive
from config.server.scheduler import Scheduler

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_connection(monkeypatch):
    """Keep the connection of the test, in whose transaction everything happens."""
    for module in (scheduler, schedulers):
        monkeypatch.setattr(module, "close_old_connections", lambda: None)


class Pulse:
    def __init__(self):
        self.beats = 0

    def beat(self):
        self.beats += 1


def test_beat_notes_with_each_tick_that_it_lives_also_while_it_stands_by(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    scheduler_class = symbol_by_name(settings.CELERY_BEAT_SCHEDULER)
    assert scheduler_class is Scheduler
    monkeypatch.setattr(DatabaseScheduler, "tick", lambda self, *arguments: 0.5)
    monkeypatch.setattr(Scheduler, "pulse", pulse := Pulse())
    assert Scheduler(app, lazy=True).tick() == 0.5
    assert (tmp_path / "alive" / "beat").exists()
    assert Scheduler(app, lazy=True).tick() == 1.0
    assert pulse.beats == 2


def test_a_beat_that_takes_over_knows_what_the_other_one_has_started(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.update(enabled=False)
    PeriodicTask.objects.create(
        name="Ours", task="ours.run", interval=hourly, last_run_at=timezone.now() - timedelta(hours=2)
    )
    started: list[tuple[Scheduler, str]] = []
    monkeypatch.setattr(Scheduler, "producer", None)
    monkeypatch.setattr(Scheduler, "apply_entry", lambda self, entry, producer: started.append((self, entry.name)))
    first, second = Scheduler(app), Scheduler(app)
    for beat in (first, second, first):
        beat.tick()
    assert started == [(first, "Ours")]
    first.close()
    second.tick()
    second.tick()
    assert second.lease.is_held
    assert started == [(first, "Ours")]
    second.close()


def test_a_process_goes_on_if_its_file_cant_be_written(settings, tmp_path, caplog):
    (tmp_path / "file").touch()
    settings.DATA_DIR = tmp_path / "file"
    mark_alive("beat")
    assert "can't be written" in caplog.text
