"""The scheduler of django-celery-beat, with a heartbeat."""

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from config.server.heartbeat import mark_alive


class Scheduler(DatabaseScheduler):
    """Write beat's file with each tick, at least every second."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        result = super().tick(*args, **kwargs)
        mark_alive("beat")
        return result
