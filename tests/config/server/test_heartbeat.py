"""Beat writes a file while it works, which a health check of its container looks at."""

from celery.utils.imports import symbol_by_name
from django_celery_beat.schedulers import DatabaseScheduler

from config.server.heartbeat import mark_alive
from config.server.scheduler import Scheduler


class Pulse:
    def __init__(self):
        self.beats = 0

    def beat(self):
        self.beats += 1


def test_beat_notes_with_each_tick_that_it_lives(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    scheduler = symbol_by_name(settings.CELERY_BEAT_SCHEDULER)
    assert scheduler is Scheduler
    monkeypatch.setattr(DatabaseScheduler, "tick", lambda self, *arguments: 1.0)
    monkeypatch.setattr(Scheduler, "pulse", pulse := Pulse())
    assert Scheduler.tick(object.__new__(Scheduler)) == 1.0
    assert (tmp_path / "alive" / "beat").exists()
    assert pulse.beats == 1


def test_a_process_goes_on_if_its_file_cant_be_written(settings, tmp_path, caplog):
    (tmp_path / "file").touch()
    settings.DATA_DIR = tmp_path / "file"
    mark_alive("beat")
    assert "can't be written" in caplog.text
