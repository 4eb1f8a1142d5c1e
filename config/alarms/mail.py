"""Emails about alarms to ALARM_EMAILS: one when an alarm opens, one when it is cleared, and reminders in between.

An open alarm that no one acknowledges is mailed again every 24 hours. An email that can't be sent is due again at the
next check.
"""

import logging
from datetime import datetime, timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q

from config.alarms.models import Alarm, AlarmQuerySet

logger = logging.getLogger(__name__)

REMINDED_AFTER = timedelta(hours=24)
SUBJECTS = {"open": "Alarm", "acknowledged": "Alarm", "cleared": "Cleared"}
LONGEST_SUBJECT = 120


def send_notices(*, now: datetime) -> int:
    """Send the emails that are due, one for each alarm; return how many. Safe to run concurrently."""
    if not settings.ALARM_EMAILS:
        return 0
    return sum(_send_if_due(key, now) for key in list(_due(now).values_list("pk", flat=True)))


def _due(now: datetime) -> AlarmQuerySet:
    is_new = Q(cleared_at=None, mailed_at=None)
    is_to_remind = Q(cleared_at=None, acknowledged_at=None, mailed_at__lte=now - REMINDED_AFTER)
    is_cleared = Q(cleared_at__isnull=False, mailed_at__isnull=False, clearing_mailed_at=None)
    return Alarm.objects.filter(is_new | is_to_remind | is_cleared).order_by("pk")


def _send_if_due(key: int, now: datetime) -> int:
    with transaction.atomic():
        alarm = _due(now).select_for_update(no_key=True, skip_locked=True).filter(pk=key).first()
        if alarm is None or not mail_directly(make_subject(alarm), make_text(alarm)):
            return 0
        is_over = alarm.cleared_at is not None
        Alarm.objects.filter(pk=key).update(**{"clearing_mailed_at" if is_over else "mailed_at": now})
        return 1


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
