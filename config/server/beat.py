"""Celery's beat, which ends between two ticks. Loaded in beat only."""

import signal
from types import FrameType
from typing import Any

from celery.apps import beat

ENDING = (signal.SIGTERM, signal.SIGINT)


class Beat(beat.Beat):
    """End at SIGTERM and Ctrl-C once the tick is done, within a second.

    Celery's own handler writes to the database at once. If the signal interrupts a query, that waits forever for the
    connection, which the query holds. The kernel can send SIGTERM once for each thread of a supervisor that is killed.
    """

    def install_sync_handler(self, service: Any) -> None:
        def end(number: int, frame: FrameType | None) -> None:
            for each in ENDING:
                signal.signal(each, signal.SIG_IGN)
            service.stop()

        for each in ENDING:
            signal.signal(each, end)
