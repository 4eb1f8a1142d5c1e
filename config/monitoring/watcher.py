"""A thread of each web process that watches what no task can: that the worker and beat are alive, and PostgreSQL.

The checks for alarms are a schedule. If beat or the worker is silent, or their queue is blocked, a web process runs the
checks instead, sends the emails, and delivers webhooks. While the database doesn't respond, alarms can't be stored:
the process sends the email itself.
"""

import fcntl
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pglock
from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from config import timeouts
from config.alarms.mail import mail_directly
from config.db.clock import read_database_clock
from config.monitoring.heartbeats import Pulse, is_silent
from config.monitoring.models import Process
from config.monitoring.rounds import run_round
from config.webhooks.delivering import WEBHOOKS_LOCK, deliver_due

logger = logging.getLogger(__name__)

PERIOD_S = 10.0
STARTING_S = 60.0  # other processes start, too
DELIVERS_FOR_S = 5.0
STOPPED_AFTER = timedelta(seconds=60)
REMINDED_AFTER = timedelta(hours=24)
OUTAGE = """PostgreSQL doesn't respond since {since:%Y-%m-%d %H:%M:%S} UTC. Events are refused with 503.

The error: {error}

What to do: check that PostgreSQL runs, that its disk isn't full, and that web can reach it over the network.
"""


class Watcher:
    """Watches every ten seconds until it is stopped, and calls `each_time`."""

    def __init__(self, each_time: Callable[[], None] | None = None) -> None:
        self._each_time = each_time
        self._stopping = threading.Event()
        self._pulse = Pulse(Process.WEB)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        timeouts.use(timeouts.WATCHER)
        started_at = timezone.now()
        self._pulse.beat()
        while not self._stopping.wait(PERIOD_S):
            self._pulse.beat()
            if self._each_time:
                self._each_time()
            self.look(may_check=timezone.now() - started_at > timedelta(seconds=STARTING_S))
        connection.close()

    def look(self, *, may_check: bool) -> None:
        """Look once: note whether the database responds, and run the checks if no one else did."""
        close_old_connections()
        try:
            now = read_database_clock()
        except Error as error:
            connection.close()
            note_outage(str(error), now=timezone.now())
            return
        end_outage()
        try:
            if may_check:
                stand_in(now=now)
        except Error as error:
            logger.warning("The checks for alarms failed: %s", error)


def stand_in(*, now: datetime) -> bool:
    """Run the checks if no process did lately; deliver webhooks while no worker is there. Return whether it did."""
    if not is_silent(Process.CHECKS, now=now):
        return False
    run_round()
    if is_silent(Process.WORKER, now=now):
        with pglock.advisory(WEBHOOKS_LOCK, timeout=0) as is_alone:
            if is_alone:
                deliver_due(now=read_database_clock(), longest_s=DELIVERS_FOR_S)
    return True


def note_outage(error: str, *, now: datetime) -> bool:
    """Note that the database doesn't respond. Send an email after a minute and then once a day; return whether it did.

    The processes of a machine share a file, whose times are those of the start and of the last email.
    """
    path: Path = settings.DATA_DIR / "alive" / "outage"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        times = [datetime.fromisoformat(line) for line in file.read().split()] or [now]
        is_due = now - times[-1] >= (STOPPED_AFTER if len(times) == 1 else REMINDED_AFTER)
        times = [times[0], now] if is_due else times
        file.truncate(0)
        file.write("\n".join(time.isoformat() for time in times))
    if is_due:
        mail_directly("Alarm: PostgreSQL can't be reached", OUTAGE.format(since=times[0], error=error.strip()))
    return is_due


def end_outage() -> bool:
    """Note that the database responds. Send an email if one was sent about the outage; return whether it did."""
    path: Path = settings.DATA_DIR / "alive" / "outage"
    try:
        since, *mailed = path.read_text().split()
        path.unlink()
    except (FileNotFoundError, ValueError):  # there is none, or another process was faster
        return False
    if mailed:
        mail_directly("Cleared: PostgreSQL responds again", f"PostgreSQL responds again. It didn't since {since}.\n")
    return bool(mailed)
