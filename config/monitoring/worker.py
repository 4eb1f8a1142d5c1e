"""The heartbeat of a worker, from the loop that also receives messages: if that hangs, the heartbeats end."""

from typing import Any

from celery import bootsteps

from config.monitoring.heartbeats import Pulse, write_briefly
from config.monitoring.models import Process
from config.server.heartbeat import PERIOD_S, mark_alive


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Note at once and every five seconds that the worker lives: in its file, and in the database.

    The connection is closed each time: the processes that are forked from here would share an open one.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        self._pulse = Pulse(Process.WORKER, write_briefly)
        super().__init__(parent, **kwargs)

    def start(self, parent: Any) -> None:
        self.beat()
        parent.timer.call_repeatedly(PERIOD_S, self.beat)

    def beat(self) -> None:
        mark_alive("worker")
        self._pulse.beat()
