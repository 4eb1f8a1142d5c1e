"""The scheduler of django-celery-beat, with a heartbeat, of which one starts the schedules however many run."""

import logging
from datetime import datetime
from typing import Any

from django.db import close_old_connections
from django_celery_beat.schedulers import DatabaseScheduler

from config.monitoring.heartbeats import Pulse
from config.monitoring.lease import Lease
from config.monitoring.models import Process
from config.server.heartbeat import mark_alive

logger = logging.getLogger(__name__)

STANDS_BY_FOR_S = 1.0


class Scheduler(DatabaseScheduler):
    """Start what is due if this beat has the lease, and stand by otherwise.

    Each tick, at least every second, notes that beat lives: in its file, and in the database.
    """

    pulse = Pulse(Process.BEAT)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lease = Lease()
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        close_old_connections()  # a stand-by asks nothing else that would replace a broken one
        pause = super().tick(*args, **kwargs) if self._has_lease() else STANDS_BY_FOR_S
        mark_alive("beat")
        self.pulse.beat()
        return pause

    def close(self) -> None:
        """Write what ran, and let another beat take over at once."""
        super().close()
        self.lease.release()

    def _has_lease(self) -> bool:
        was_held = self.lease.is_held
        if self.lease.hold() != was_held:
            logger.warning("This beat stands by." if was_held else "This beat starts the schedules.")
            self._read_again()
        return self.lease.is_held

    def _read_again(self) -> None:
        """Forget when schedules ran last: another beat has started them since, or does so from now on."""
        self._dirty.clear()
        self._heap: list[Any] = []
        self._last_full_sync = datetime.min  # noqa: DTZ901  the library's own clock has no zone
