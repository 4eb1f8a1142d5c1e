"""Rounds of checks: by the worker's schedule every 30 seconds or, if none came for a while, by a web process."""

import pglock

from config.alarms.checks import run_checks
from config.alarms.mail import send_notices
from config.db.clock import read_database_clock
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import Process
from config.monitoring.sizes import note_size

ROUND_LOCK = 7_301_104


def run_round() -> int:
    """Run all checks, send the emails that are due, and note it; return how much is wrong.

    One process does so at a time. It uses the database's clock, since its own may be what is wrong.
    """
    with pglock.advisory(ROUND_LOCK, timeout=0) as is_alone:
        if not is_alone:
            return 0
        now = read_database_clock()
        wrong = run_checks(now=now)
        send_notices(now=now)
        note_size(now=now)
        write_heartbeat(Process.CHECKS)
        return wrong
