"""Sends waiting emails one after another, and never twice automatically.

One process sends at a time. An email is marked as being sent, in a transaction of its own, right before it is handed to
the mail server. If the process dies before it notes the answer, no one knows whether the server took the email: the
next run marks it as unconfirmed, and a person decides whether to send it again.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from billing.models import CompanyProfile, Email, EmailEvent, EmailEventKind, EmailState
from billing.models.emails import LONGEST_DETAIL
from billing.notifications import notify_email
from billing.refusals import CannotEmail
from billing.sending.attaching import Attachment, check_sendable, make_attachments
from billing.sending.bounces import record_event
from billing.sending.outcomes import ERRORS, Failure, describe, judge
from config.refusals import Refused
from config.webhooks.names import WebhookEvent

WAITS = tuple(timedelta(seconds=seconds) for seconds in (60, 5 * 60, 15 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60))
TRIES = len(WAITS) + 1
EMAILS_LOCK = 7_301_151  # one process sends at a time
LONGEST_S = 20.0
MINUTE = timedelta(seconds=60)
EVENTS = {
    EmailState.PENDING: EmailEventKind.POSTPONED,
    EmailState.FAILED: EmailEventKind.FAILED,
    EmailState.UNCONFIRMED: EmailEventKind.UNCONFIRMED,
    EmailState.SKIPPED: EmailEventKind.SKIPPED,
}
type Refusals = Mapping[str, tuple[int, bytes]]
DIED = "The process that sent it ended before the mail server's answer was noted."


def deliver_due(*, now: datetime, longest_s: float = LONGEST_S) -> int:
    """Send due emails until none is due, the time is up, or the limit of a minute is reached; return how many.

    Call it while holding `EMAILS_LOCK`. Safe to repeat, and to kill at any time.
    """
    began, sent = time.monotonic(), 0
    note_interrupted(now=now)
    connection = get_connection()
    try:
        for _ in range(room(now)):
            at = now + timedelta(seconds=time.monotonic() - began)
            if at - now >= timedelta(seconds=longest_s):
                break
            email = _next_due(at)
            if email is None or not _send(email, connection, at):
                break
            sent += 1
    finally:
        connection.close()
    return sent


def note_interrupted(*, now: datetime) -> int:
    """Mark the emails as unconfirmed that a process was sending when it died; return how many."""
    interrupted = list(Email.objects.filter(state=EmailState.SENDING).order_by("pk"))
    for email in interrupted:
        _record_failure(email, Failure(EmailState.UNCONFIRMED, DIED), now=now)
    return len(interrupted)


def room(now: datetime) -> int:
    """Return how many emails may be sent now, by the limit of a minute. 0 is no limit."""
    limit: int = settings.EMAILS_PER_MINUTE
    if not limit:
        return 1_000_000
    return max(limit - Email.objects.filter(began_at__gt=now - MINUTE).count(), 0)


def _next_due(at: datetime) -> Email | None:
    related = ("customer", "invoice", "credit_note", "payment__invoice")
    due = Email.objects.filter(state=EmailState.PENDING, next_try_at__lte=at).select_related(*related)
    return due.order_by("next_try_at", "pk").first()


def _send(email: Email, connection: BaseEmailBackend, at: datetime) -> bool:
    """Send an email and record what became of it; return whether to go on with the next.

    The PDF is made and the connection opened before the email is marked as being sent, so that a process that dies or
    a server that is down leaves it waiting. It waits for a minute at first, so that an email whose PDF can't be made
    doesn't hold up the others.
    """
    Email.objects.filter(pk=email.pk, state=EmailState.PENDING).update(next_try_at=at + MINUTE)
    try:
        check_sendable(email, now=at)
        attachments = make_attachments(email)
    except CannotEmail as refusal:
        _record_failure(email, Failure(EmailState.SKIPPED, str(refusal)), now=at)
        return True
    except Refused as refusal:  # of the statement
        _record_failure(email, Failure(EmailState.FAILED, str(refusal)), now=at)
        return True
    try:
        connection.open()
    except ERRORS as error:
        _record_failure(email, Failure(EmailState.PENDING, describe(error)), now=at)
        return False
    return _hand_over(email, attachments, connection, at)


def _hand_over(email: Email, attachments: Sequence[Attachment], connection: BaseEmailBackend, at: datetime) -> bool:
    message = build_message(email, attachments, connection)
    marked = Email.objects.filter(pk=email.pk, state=EmailState.PENDING).update(
        state=EmailState.SENDING, next_try_at=None, began_at=at, tries=email.tries + 1, **_facts(attachments)
    )
    if not marked:
        return True
    email.tries, email.state = email.tries + 1, EmailState.SENDING
    try:
        connection.send_messages([message])
    except ERRORS as error:
        connection.close()
        _record_failure(email, judge(error), now=at)
        return False
    _record_sent(email, message, getattr(connection, "refused_recipients", {}), now=at)
    return True


def build_message(
    email: Email, attachments: Sequence[Attachment], connection: BaseEmailBackend
) -> EmailMultiAlternatives:
    """Build the message. Its Message-ID is the email's own, by which mail servers can notice a repetition."""
    company = CompanyProfile.current()
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        email.subject,
        email.text,
        to=email.to,
        cc=email.cc,
        reply_to=[company.email] if company.email else None,
        headers={"Message-ID": f"<{email.public_id}@{domain}>", "Auto-Submitted": "auto-generated"},
        connection=connection,
    )
    message.attach_alternative(email.html, "text/html")
    for attachment in attachments:
        message.attach(attachment.name, attachment.content, attachment.content_type)
    return message


def _facts(attachments: Sequence[Attachment]) -> dict[str, Any]:
    """Describe the PDF. The electronic invoice never changes, so it can be looked up."""
    if not attachments:
        return {}
    attachment = attachments[0]
    digest = hashlib.sha256(attachment.content).hexdigest()
    size = len(attachment.content)
    return {"attachment_name": attachment.name, "attachment_size": size, "attachment_sha256": digest}


def _record_sent(email: Email, message: Any, refused: Refusals, *, now: datetime) -> None:
    """Record that the server took the email. For the recipients that it refused, the email bounced."""
    status = getattr(message, "anymail_status", None)  # a provider's ID, by which it reports bounces
    provider_id = str(status.message_id) if status is not None and isinstance(status.message_id, str) else ""
    with transaction.atomic():
        Email.objects.filter(pk=email.pk).update(
            state=EmailState.SENT, next_try_at=None, sent_at=now, last_error="", provider_id=provider_id[:255]
        )
        EmailEvent.objects.create(email=email, kind=EmailEventKind.SENT, at=now)
        notify_email(WebhookEvent.EMAIL_SENT, email, now=now)
        for recipient, (code, answer) in refused.items():
            detail = f"{code} {answer.decode('utf-8', 'replace')}"
            record_event(email, EmailEventKind.BOUNCED, recipient=recipient, detail=detail, at=now, now=now)


def _record_failure(email: Email, failure: Failure, *, now: datetime) -> None:
    """Record why an email wasn't sent, and when it is tried again: after a minute, then longer, up to seven times."""
    state, next_try_at, tries = failure.state, None, email.tries
    if state == EmailState.PENDING:
        tries += email.state == EmailState.PENDING  # it wasn't handed over, which counts an attempt itself
        if tries >= TRIES:
            state = EmailState.FAILED
        else:
            next_try_at = now + WAITS[tries - 1]
    detail = failure.detail[:LONGEST_DETAIL]
    with transaction.atomic():
        Email.objects.filter(pk=email.pk).update(state=state, next_try_at=next_try_at, tries=tries, last_error=detail)
        EmailEvent.objects.create(email=email, kind=EVENTS[state], at=now, detail=detail)
        if state in (EmailState.FAILED, EmailState.UNCONFIRMED):
            notify_email(WebhookEvent.EMAIL_FAILED, email, now=now)
