"""Notices while PostgreSQL responds but refuses to write, as it does when its disk is full: no alarm can be stored.

The process that watches sends the email and the webhook itself, with what the checks find. Once PostgreSQL writes
again, the alarm is stored with the times at which it began and was mailed. The webhook sent then names the same alarm.
"""

import hashlib
import logging
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import Error

from config.alarms.checks import find_all
from config.alarms.kinds import AlarmKind
from config.alarms.mail import mail_directly
from config.alarms.models import Alarm
from config.alarms.pace import paced
from config.alarms.raising import Finding, clear_alarms, raise_alarm
from config.alarms.serializers import AlarmOut
from config.monitoring.outages.times import FaultTimes
from config.office.links import admin_url
from config.webhooks.direct import send_directly
from config.webhooks.names import WebhookEvent

logger = logging.getLogger(__name__)

NOTIFIED_AFTER = paced(seconds=30)  # it is noted only after no round of checks succeeded for 45 seconds
SHOWN = paced(seconds=600)
MAKE_ROOM = (
    "Make room on PostgreSQL's disk: extend it, or delete what isn't needed. If the disk isn't full, PostgreSQL's log"
    " says why it refuses: the server may be a standby, or set to read-only."
)
TEXT = """{message}

Until it writes again, alarms aren't in the list, on Home or in the API, and events may be refused.

The error: {error}

What to do: {what_to_do}
{findings}"""


class Unstored:
    """A database that responds and refuses to write."""

    def __init__(self) -> None:
        self._times = FaultTimes("unstored", NOTIFIED_AFTER)
        self._error = ""
        self._is_posted = False

    def prepare(self) -> None:
        """Make the file that the web processes of the machine share."""
        self._times.prepare()

    def note(self, error: str, *, now: datetime) -> bool:
        """Note that nothing could be stored. Send notices after 30 seconds, then once a day; return whether so."""
        self._error = error
        return self._times.note(partial(self._notify, now), now=now)

    def is_noted(self) -> bool:
        """Tell whether a process of this machine noted it."""
        return bool(self._times.read())

    def end(self, *, now: datetime) -> Alarm | None:
        """Note that PostgreSQL writes again, and store the alarm unless it was over before any notice was due.

        Safe to repeat: the times are kept until the alarm is stored.
        """
        times, alarm = self._times.read(), None
        if times and now - times[0] >= NOTIFIED_AFTER:
            alarm = _store(_describe(times[0], now, self._error), _known_values(times), now)
        self._times.end()
        self._error, self._is_posted = "", False
        return alarm

    def _notify(self, now: datetime, since: datetime) -> bool:
        """Send the webhook, once, and the email; return whether that is done."""
        finding = _describe(since, None, self._error)
        if not self._is_posted:
            self._is_posted = _post(finding, since, now)
        findings = [finding for findings in find_all(now=now).values() for finding in findings]
        text = TEXT.format(
            message=finding.message,
            error=self._error,
            what_to_do=finding.what_to_do,
            findings="".join(f"\n{other.message}\nWhat to do: {other.what_to_do}\n" for other in findings),
        )
        is_mailed = mail_directly("Alarm: PostgreSQL refuses to write", text)
        return is_mailed or (self._is_posted and not settings.ALARM_EMAILS)


def clear_shown(*, now: datetime) -> int:
    """Clear the stored alarm ten minutes after PostgreSQL wrote again; return how many were open."""
    shown = Alarm.objects.open().filter(kind=AlarmKind.WRITES_REFUSED, seen_at__lte=now - SHOWN)
    return clear_alarms(list(shown), now=now) if shown else 0


def _describe(since: datetime, until: datetime | None, error: str) -> Finding:
    began = f"{since:%Y-%m-%d %H:%M:%S}"
    if until is None:
        message = f"PostgreSQL responds, but has refused to write since {began} UTC. Alarms can't be stored."
    else:
        reason = f": {error}" if error else "."
        message = f"PostgreSQL refused to write from {began} to {until:%Y-%m-%d %H:%M:%S} UTC{reason}"
    return Finding(AlarmKind.WRITES_REFUSED, message, MAKE_ROOM, url=admin_url("system"))


def _known_values(times: list[datetime]) -> dict[str, Any]:
    """Return the values of the alarm that were known, or sent, before it could be stored.

    The ID is derived from the start, so that all processes send the same.
    """
    since = times[0]
    digest = hashlib.sha256(since.isoformat().encode()).hexdigest()[:24]
    mailed_at = times[1] if len(times) > 1 and settings.ALARM_EMAILS else None
    return {"public_id": f"alarm_{digest}", "opened_at": since, "mailed_at": mailed_at}


def _store(finding: Finding, known: dict[str, Any], now: datetime) -> Alarm:
    """Store the alarm, unless a process did so and was killed before it could forget the times."""
    stored = Alarm.objects.filter(public_id=known["public_id"]).first()
    return stored or raise_alarm(finding, now=now, earlier=known)


def _post(finding: Finding, since: datetime, now: datetime) -> bool:
    """Send the webhook about an alarm that can't be stored; return whether an endpoint accepted it."""
    texts = {"message": finding.message, "what_to_do": finding.what_to_do, "url": finding.url}
    alarm = Alarm(kind=finding.kind, seen_at=now, **texts, **_known_values([since]))
    try:
        accepted = send_directly(WebhookEvent.ALARM_OPENED, "alarm", [(alarm.public_id, AlarmOut(alarm).data)], at=now)
    except Error as error:
        logger.warning("The endpoints of webhooks can't be read: %s", error)
        return False
    return accepted > 0
