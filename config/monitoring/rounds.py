"""Rounds of checks: by the worker's schedule every 30 seconds or, if none came for a while, by a web process.

One process of each kind does so at a time. The two kinds have locks of their own: a worker that hangs in a round keeps
its lock. Checks and emails are safe to run concurrently; at worst, an email is sent twice.
"""

import pglock

from config.alarms.checks import run_checks
from config.alarms.mail import MAIL_LOCK, STAND_IN_MAIL_LOCK, send_notices
from config.db.clock import read_database_clock
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import Process
from config.monitoring.sizes import note_size

ROUND_LOCK, STAND_IN_LOCK = 7_301_104, 7_301_106


def run_round(lock: int = ROUND_LOCK) -> int:
    """Run all checks, note it, and send the emails that are due; return how much is wrong.

    It uses the database's clock, since its own may be what is wrong. Emails are sent at the end, when another process
    can start the next round: a slow mail server delays no check.
    """
    with pglock.advisory(lock, timeout=0) as is_alone:
        if not is_alone:
            return 0
        now = read_database_clock()
        wrong = run_checks(now=now)
        write_heartbeat(Process.CHECKS)
        note_size(now=now)
    send_notices(now=now, lock=MAIL_LOCK if lock == ROUND_LOCK else STAND_IN_MAIL_LOCK)
    return wrong
