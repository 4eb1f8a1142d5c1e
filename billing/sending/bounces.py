"""What a provider reports about an email after it took it: delivered, delayed, bounced, marked as spam.

Reports are kept once each, however often the provider repeats them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, tracking
from django.db import transaction

from billing.models import Email, EmailEvent, EmailEventKind, EmailState
from billing.models.emails import LONGEST_DETAIL
from billing.notifications import notify_email
from config.db.clock import read_clock
from config.webhooks.names import WebhookEvent

KINDS: Mapping[str, EmailEventKind] = {
    EventType.DELIVERED: EmailEventKind.DELIVERED,
    EventType.DEFERRED: EmailEventKind.DELAYED,
    EventType.BOUNCED: EmailEventKind.BOUNCED,
    EventType.REJECTED: EmailEventKind.BOUNCED,
    EventType.FAILED: EmailEventKind.BOUNCED,
    EventType.COMPLAINED: EmailEventKind.COMPLAINED,
}
BAD = (EmailEventKind.BOUNCED, EmailEventKind.COMPLAINED)


def record_report(
    provider_id: str, kind: EmailEventKind, *, key: str, recipient: str, detail: str, at: datetime, now: datetime
) -> bool:
    """Record a provider's report about an email; return whether it is new. One about an unknown email is ignored.

    A recipient that the email doesn't have isn't recorded by name.
    """
    with transaction.atomic():
        emails = Email.objects.select_for_update(no_key=True, of=("self",))
        email = emails.filter(provider_id=provider_id).first() if provider_id else None
        if email is None or EmailEvent.objects.filter(provider_key=key).exists():
            return False
        record_event(email, kind, recipient=recipient, detail=detail, key=key, at=at, now=now)
    return True


def record_event(
    email: Email,
    kind: EmailEventKind,
    *,
    recipient: str,
    detail: str,
    key: str | None = None,
    at: datetime,
    now: datetime,
) -> None:
    """Record what became of an email for a recipient; a bounce or complaint makes it bounced, and sends a webhook.

    A recipient that the email doesn't have isn't recorded by name. Call it in a transaction.
    """
    known = {address.lower() for address in [*email.to, *email.cc]}
    EmailEvent.objects.create(
        email=email,
        kind=kind,
        at=at,
        recipient=recipient if recipient.lower() in known else "",
        detail=detail[:LONGEST_DETAIL],
        provider_key=key,
    )
    if kind in BAD:
        error = detail[:LONGEST_DETAIL] or kind.label
        Email.objects.filter(pk=email.pk).update(state=EmailState.BOUNCED, last_error=error, handled_at=None)
        notify_email(WebhookEvent.EMAIL_BOUNCED, email, now=now)


def receive_tracking(sender: Any, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    """Record a report that django-anymail received and checked. Opened emails and followed links aren't recorded."""
    kind = KINDS.get(event.event_type)
    if kind is None:
        return
    now = read_clock()
    recipient = _clean(event.recipient)
    # Not every provider's reports have an ID.
    key = _clean(event.event_id) or f"{event.message_id}/{kind}/{recipient}"
    record_report(
        _clean(event.message_id),
        kind,
        key=f"{esp_name}:{key}"[:255],
        recipient=recipient,
        detail=_clean(event.mta_response) or _clean(event.description) or _clean(event.reject_reason),
        at=(event.timestamp or now).astimezone(UTC),
        now=now,
    )


def _clean(value: Any) -> str:
    return " ".join(str(value or "").replace("\x00", " ").split())


def connect() -> None:
    """Receive the reports of django-anymail. Call once, from `AppConfig.ready`."""
    tracking.connect(receive_tracking, dispatch_uid="billing.sending.bounces")
