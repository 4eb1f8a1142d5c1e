"""Which beat starts the schedules, if there are several: the holder of the lease. The others stand by.

A beat that dies or is cut off from the database stops renewing the lease. Ten seconds after the last renewal the lease
ends, by the database's clock, and the first beat that asks takes it. Its holder stops at the same time or earlier, by a
clock that no one sets. Unlike a session's lock, a lease works through a pooler, and it ends without the server having
to notice that a connection is dead. See docs/decisions/0216-a-lease-for-beat.md.
"""

import logging
import os
import socket
import time
import uuid
from typing import Any

from django.db import Error, connection

from config.alarms.pace import paced

logger = logging.getLogger(__name__)

LASTS_S = paced(seconds=10).total_seconds()
RENEWED_EVERY_S = paced(seconds=2).total_seconds()
TAKE = """
    INSERT INTO config_schedulinglease AS lease (id, holder, host, pid, since, ends_at)
    SELECT 1, %(holder)s, %(host)s, %(pid)s, now, now + make_interval(secs => %(lasts_s)s)
    FROM clock_timestamp() AS now
    ON CONFLICT (id) DO UPDATE SET
        holder = excluded.holder, host = excluded.host, pid = excluded.pid, ends_at = excluded.ends_at,
        since = CASE WHEN lease.holder = excluded.holder THEN lease.since ELSE excluded.since END
    WHERE lease.holder = excluded.holder OR lease.ends_at < clock_timestamp()
"""
RELEASE = "DELETE FROM config_schedulinglease WHERE holder = %s"


class Lease:
    """The right of one process to start the schedules."""

    def __init__(self) -> None:
        self.is_held = False
        self._holder = uuid.uuid4()
        self._renew_at = self._ends_at = 0.0  # by the monotonic clock

    def hold(self) -> bool:
        """Take or renew the lease if that is due, and return whether this process has it.

        While the database doesn't respond, the lease is held until it ends.
        """
        if (now := time.monotonic()) >= self._renew_at:
            try:
                self._ends_at = now + LASTS_S if self._take() else 0.0
            except Error as error:
                logger.warning("The lease of the schedules couldn't be renewed: %s", error)
            self._renew_at = now + RENEWED_EVERY_S if self._ends_at else now  # a stand-by asks each time
        self.is_held = time.monotonic() < self._ends_at
        return self.is_held

    def release(self) -> None:
        """End the lease, so that another beat needn't wait for its end."""
        was_held, self.is_held, self._ends_at = self.is_held, False, 0.0
        if was_held:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(RELEASE, [self._holder])
            except Error as error:
                logger.warning("The lease of the schedules couldn't be released: %s", error)

    def _take(self) -> bool:
        values: dict[str, Any] = {
            "holder": self._holder,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "lasts_s": LASTS_S,
        }
        with connection.cursor() as cursor:
            cursor.execute(TAKE, values)
            return bool(cursor.rowcount)
