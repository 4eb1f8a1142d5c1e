"""Emails about alarms to ALARM_EMAILS: one when an alarm opens, one when it is cleared, and reminders in between.

An open alarm that no one acknowledges is mailed again every 24 hours. An email that can't be sent is due again at the
next round.
"""

import logging
import time
from datetime import datetime, timedelta
from smtplib import SMTPException

import pglock
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q

from config.alarms.kinds import AlarmStatus
from config.alarms.models import Alarm, AlarmQuerySet

logger = logging.getLogger(__name__)

REMINDED_AFTER = timedelta(hours=24)
SUBJECTS = {AlarmStatus.OPEN: "Alarm", AlarmStatus.ACKNOWLEDGED: "Alarm", AlarmStatus.CLEARED: "Cleared"}
LONGEST_SUBJECT = 120
MAIL_LOCK, STAND_IN_MAIL_LOCK = 7_301_105, 7_301_107
SENDS_FOR_S = 20.0


def send_notices(*, now: datetime, lock: int = MAIL_LOCK) -> int:
    """Send the emails that are due, one for each alarm; return how many. One holder of the lock does so at a time.

    No row is locked meanwhile, so that a slow mail server delays no check. What isn't sent in time is due again.
    """
    if not settings.ALARM_EMAILS:
        return 0
    sent, until = 0, time.monotonic() + SENDS_FOR_S
    with pglock.advisory(lock, timeout=0) as is_alone:
        for key in list(_due(now).values_list("pk", flat=True)) if is_alone else ():
            if time.monotonic() > until:
                break
            sent += _send_if_due(key, now)
    return sent


def _due(now: datetime) -> AlarmQuerySet:
    is_new = Q(cleared_at=None, mailed_at=None)
    is_to_remind = Q(cleared_at=None, acknowledged_at=None, mailed_at__lte=now - REMINDED_AFTER)
    is_cleared = Q(cleared_at__isnull=False, mailed_at__isnull=False, clearing_mailed_at=None)
    return Alarm.objects.filter(is_new | is_to_remind | is_cleared).order_by("pk")


def _send_if_due(key: int, now: datetime) -> bool:
    alarm = _due(now).filter(pk=key).first()
    if alarm is None or not mail_directly(make_subject(alarm), make_text(alarm)):
        return False
    is_over = alarm.cleared_at is not None
    Alarm.objects.filter(pk=key).update(**{"clearing_mailed_at" if is_over else "mailed_at": now})
    return True


def mail_directly(subject: str, text: str) -> bool:
    """Send an email about something that can't be stored as an alarm; return whether it was sent."""
    if not settings.ALARM_EMAILS:
        return False
    try:
        EmailMessage(f"[{settings.COMPANY_NAME}] {subject}", text, to=settings.ALARM_EMAILS).send()
    except (SMTPException, OSError) as error:
        logger.warning("An email couldn't be sent: %s", error)
        return False
    return True


def make_subject(alarm: Alarm) -> str:
    """Return the subject, `Alarm: Events have waited for 3 minutes.`, on one line and not too long."""
    text = " ".join(f"{SUBJECTS[alarm.status]}: {alarm.message}".split())
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 1]}…"


def make_text(alarm: Alarm) -> str:
    """Return what the email says: what is wrong since when, what to do, and where to look."""
    lines = [alarm.message, "", f"Since {alarm.opened_at:%Y-%m-%d %H:%M} UTC."]
    if alarm.cleared_at is not None:
        lines.append(f"Cleared at {alarm.cleared_at:%Y-%m-%d %H:%M} UTC. There is nothing left to do.")
    else:
        lines += ["", f"What to do: {alarm.what_to_do}"]
    if alarm.url:
        lines += ["", f"Look at: {settings.SITE_URL}{alarm.url}"]
    return "\n".join([*lines, f"The alarm: {settings.SITE_URL}{alarm.get_absolute_url()}", ""])
