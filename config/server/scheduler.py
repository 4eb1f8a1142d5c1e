"""The scheduler of django-celery-beat, with a heartbeat."""

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from config.monitoring.heartbeats import Pulse
from config.monitoring.models import Process
from config.server.heartbeat import mark_alive


class Scheduler(DatabaseScheduler):
    """Note with each tick, at least every second, that beat lives: in its file, and in the database."""

    pulse = Pulse(Process.BEAT)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        result = super().tick(*args, **kwargs)
        mark_alive("beat")
        self.pulse.beat()
        return result
