"""Processes write that they live into the database, which all of them share, every ten seconds."""

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import Error, connection
from django.utils import timezone

from config import timeouts
from config.alarms.pace import paced
from config.monitoring.models import SILENT_AFTER, STARTS_FOR, Heartbeat, Process
from config.version import VERSION

logger = logging.getLogger(__name__)

PERIOD_S = paced(seconds=10).total_seconds()
# Rows of earlier processes on the same machine are replaced; others are kept for a week, to show when they were seen.
WRITE = """
    INSERT INTO config_heartbeat (process, host, pid, version, started_at, seen_at, clock_ahead_s)
    VALUES (
        %(process)s, %(host)s, %(pid)s, %(version)s, clock_timestamp(), clock_timestamp(),
        extract(epoch FROM %(now)s - clock_timestamp())
    )
    ON CONFLICT (process, host, pid) DO UPDATE
    SET seen_at = excluded.seen_at, clock_ahead_s = excluded.clock_ahead_s, version = excluded.version
"""
FORGET = """
    DELETE FROM config_heartbeat
    WHERE process = %(process)s AND pid <> %(pid)s AND (
        host = %(host)s AND seen_at < clock_timestamp() - interval '1 minute'
        OR seen_at < clock_timestamp() - interval '7 days'
    )
"""


def write_heartbeat(process: Process) -> None:
    """Write that this process lives, and forget those that it replaced."""
    values: dict[str, Any] = {
        "process": process.value,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": VERSION,
        "now": timezone.now(),
    }
    with connection.cursor() as cursor:
        cursor.execute(WRITE, values)
        cursor.execute(FORGET, values)


def write_briefly(process: Process) -> None:
    """Write a heartbeat on a connection of its own, which is closed again, with short timeouts."""
    with connection.temporary_connection():
        timeouts.set_on(connection, timeouts.HEALTH)
        write_heartbeat(process)


@dataclass(slots=True)
class Pulse:
    """Writes a process's heartbeat every ten seconds. `write` can be another way to write it."""

    process: Process
    write: Callable[[Process], None] = write_heartbeat
    due_at: float = 0.0

    def beat(self) -> None:
        """Write a heartbeat if it is due. If the database doesn't respond, none is written, and the process goes on."""
        if (now := time.monotonic()) < self.due_at:
            return
        self.due_at = now + PERIOD_S
        try:
            self.write(self.process)
        except Error as error:
            logger.warning("The heartbeat of %s couldn't be written: %s", self.process.value, error)


def last_seen(process: Process) -> datetime | None:
    """Return when a process of this kind was last alive."""
    rows = Heartbeat.objects.filter(process=process).order_by("-seen_at")
    return rows.values_list("seen_at", flat=True).first()


def is_silent(process: Process, *, now: datetime) -> bool:
    """Tell whether no process of this kind was alive lately."""
    seen_at = last_seen(process)
    return seen_at is None or now - seen_at > SILENT_AFTER


def is_starting(*, now: datetime) -> bool:
    """Tell whether no process that is alive has been for longer than a minute and a half: others start, too."""
    alive = Heartbeat.objects.filter(seen_at__gt=now - SILENT_AFTER).exclude(process=Process.CHECKS)
    return not alive.filter(started_at__lt=now - STARTS_FOR).exists()
