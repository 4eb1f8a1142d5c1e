"""The database's clock decides what is due: processes on several machines agree on it."""

import logging
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

logger = logging.getLogger(__name__)

MOST_APART = timedelta(minutes=1)


class ClockDiffers(RuntimeError):
    """This machine's clock and the database's differ too much to decide what is due."""


def read_clock() -> datetime:
    """Return the database's time, UTC. One query.

    Raises `ClockDiffers` if this machine's clock differs by more than a minute: it also stamps rows and logs, and a
    worker that is 45 days ahead would invoice periods that aren't over.
    """
    now = read_database_clock()
    difference = timezone.now() - now
    if abs(difference) > MOST_APART:
        logger.error("This machine's clock differs from the database's by %s", difference)
        raise ClockDiffers(f"The clock differs by {difference}. No task runs until it is set right.")
    return now


def read_database_clock() -> datetime:
    """Return the database's time, UTC, whatever this machine's clock says. Only checks of the clocks themselves do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
