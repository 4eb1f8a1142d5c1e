"""Threads of each web process that do what no task can: watch that the worker and beat are alive, and PostgreSQL.

The checks for alarms are a schedule. If beat or the worker is silent, or their queue is blocked, a web process runs the
checks instead, sends the emails, and delivers webhooks. While the database doesn't respond, or refuses to write, alarms
can't be stored: the process sends the notices itself. The heartbeat has its own thread, so that a slow mail server
doesn't stop it.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

import pglock
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from config import timeouts
from config.alarms.kinds import AlarmKind
from config.alarms.mail import STAND_IN_MAIL_LOCK, send_notices
from config.alarms.pace import paced
from config.alarms.raising import Finding, clear_alarm, raise_alarm
from config.db.clock import read_database_clock
from config.db.errors import describe_error
from config.monitoring.heartbeats import PERIOD_S, Pulse, is_silent, write_briefly
from config.monitoring.models import Process
from config.monitoring.outages.unreachable import Outage
from config.monitoring.outages.unstored import Unstored, clear_shown
from config.monitoring.rounds import STAND_IN_LOCK, run_round
from config.monitoring.standby import COMMITS_WAIT, commits_wait
from config.office.links import admin_url
from config.webhooks.delivering import deliver_due

logger = logging.getLogger(__name__)

STAND_IN_WEBHOOKS_LOCK = 7_301_108  # a worker that hangs keeps its own
STARTING = paced(seconds=60)  # other processes start, too
DELIVERS_FOR_S = 5.0
RESTART_SHOWN = paced(seconds=600)
STOPS_WITHIN_S = 5.0  # a mail server that hangs doesn't hold up the end of the process


class Watcher:
    """Writes the heartbeat and watches every ten seconds until it is stopped. Calls `each_time` with each heartbeat."""

    def __init__(self, each_time: Callable[[], None] | None = None) -> None:
        self._each_time = each_time
        self._stopping = threading.Event()
        self._pulse = Pulse(Process.WEB, write_briefly)
        self._outage = Outage()
        self._unstored = Unstored()
        self._threads: list[threading.Thread] = []
        self._checks_from = timezone.now() + STARTING
        self._database_started_at: datetime | None = None

    def start(self) -> None:
        self._checks_from = timezone.now() + STARTING
        self._outage.prepare()
        self._unstored.prepare()
        for name, step in (("heartbeat", self.beat), ("watcher", self.look)):
            thread = threading.Thread(target=self._repeat, args=[step], name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(STOPS_WITHIN_S)

    def _repeat(self, step: Callable[[], None]) -> None:
        """Take a step every ten seconds. Whatever goes wrong, the next one is taken: no one watches the watcher."""
        timeouts.use(timeouts.WATCHER)
        while True:
            try:
                step()
            except Exception:
                logger.exception("The thread %s failed. It goes on.", threading.current_thread().name)
            if self._stopping.wait(PERIOD_S):
                connection.close()
                return

    def beat(self) -> None:
        """Write the heartbeat, and what is shown about this process."""
        self._pulse.beat()
        if self._each_time:
            self._each_time()

    def look(self) -> None:
        """Look once: note whether the database responds, and run the checks if no one else did."""
        close_old_connections()
        try:
            now, started_at, is_stuck = read_database_clock(), read_database_start(), commits_wait()
        except Error as error:
            connection.close()
            self._outage.note(str(error), now=timezone.now())
            return
        if is_stuck:  # writing an alarm would have to wait, too
            self._outage.note(COMMITS_WAIT, now=now)
            return
        self._outage.end()
        try:
            self._note_start(started_at, now)
            if timezone.now() > self._checks_from:
                stand_in(now=now)
            self._note_stored()
        except Error as error:
            logger.warning("The checks for alarms failed: %s", error)
            connection.close()
            self._unstored.note(describe_error(error), now=now)

    def _note_start(self, started_at: datetime, now: datetime) -> None:
        """Raise an alarm if the database was started again since the last look. Clear it after ten minutes."""
        is_new = self._database_started_at not in (None, started_at)
        if is_new:
            raise_alarm(describe_restart(started_at), now=now)
            send_notices(now=now, lock=STAND_IN_MAIL_LOCK)
        elif now - started_at > RESTART_SHOWN:
            clear_alarm(AlarmKind.DATABASE_STOPPED, now=now)
        self._database_started_at = started_at  # last, so that an alarm that can't be stored is raised at the next look

    def _note_stored(self) -> None:
        """Store the alarm about a database that refused to write, once a round of checks was stored again."""
        now = read_database_clock()
        if self._unstored.is_noted() and not is_silent(Process.CHECKS, now=now):
            self._unstored.end(now=now)
            send_notices(now=now, lock=STAND_IN_MAIL_LOCK)
        clear_shown(now=now)


def read_database_start() -> datetime:
    """Return when the database server was started."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_postmaster_start_time()")
        started_at: datetime = cursor.fetchone()[0]
    return started_at


def describe_restart(started_at: datetime) -> Finding:
    """Return the alarm about a database that stopped and was started again."""
    return Finding(
        AlarmKind.DATABASE_STOPPED,
        f"PostgreSQL stopped, and was started again at {started_at:%Y-%m-%d %H:%M:%S} UTC. Requests failed meanwhile.",
        "If no one restarted it on purpose, read its log to see why it stopped: a full disk, or too little memory. The "
        "log of the embedded PostgreSQL is postgres/server.log in DATA_DIR.",
        url=admin_url("system"),
    )


def stand_in(*, now: datetime) -> bool:
    """Run the checks if no process did lately; deliver webhooks while no worker is there. Return whether it did."""
    if not is_silent(Process.CHECKS, now=now):
        return False
    run_round(STAND_IN_LOCK)
    if is_silent(Process.WORKER, now=now):
        with pglock.advisory(STAND_IN_WEBHOOKS_LOCK, timeout=0) as is_alone:
            if is_alone:
                deliver_due(now=read_database_clock(), longest_s=DELIVERS_FOR_S)
    return True
