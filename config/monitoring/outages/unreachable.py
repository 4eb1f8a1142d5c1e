"""Emails about an outage of the database, during which no alarm can be stored."""

from datetime import datetime
from functools import partial

from config.alarms.mail import mail_directly
from config.alarms.pace import paced
from config.monitoring.outages.times import FaultTimes

MAILED_AFTER = paced(seconds=60)
CHECK_POSTGRES = "Check that PostgreSQL runs, that its disk isn't full, and that web can reach it over the network."
TEXT = """PostgreSQL hasn't responded since {since:%Y-%m-%d %H:%M:%S} UTC. Events are refused with 503.

The error: {error}

What to do: {what_to_do}
"""


class Outage:
    """A database that doesn't respond."""

    def __init__(self) -> None:
        self._times = FaultTimes("outage", MAILED_AFTER)

    def prepare(self) -> None:
        """Make the file that the web processes of the machine share."""
        self._times.prepare()

    def note(self, error: str, *, now: datetime) -> bool:
        """Note that it doesn't respond. Send an email after a minute and then once a day; return whether so."""
        return self._times.note(partial(_mail_start, error), now=now)

    def end(self) -> bool:
        """Note that the database responds. Send an email if one was sent about the outage; return whether so."""
        times = self._times.end()
        if len(times) < 2:
            return False
        since = f"{times[0]:%Y-%m-%d %H:%M:%S} UTC"
        return mail_directly("Cleared: PostgreSQL responds again", f"PostgreSQL hadn't responded since {since}.\n")


def _mail_start(error: str, since: datetime) -> bool:
    text = TEXT.format(since=since, error=error.strip(), what_to_do=CHECK_POSTGRES)
    return mail_directly("Alarm: PostgreSQL can't be reached", text)
