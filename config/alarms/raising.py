"""Raise, clear and acknowledge alarms. All are safe to repeat and to run concurrently."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.approvals.people import person_of
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit

LONGEST_ABOUT = 255


class AlarmCleared(Refused):
    """A cleared alarm needs no acknowledgment."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and what to do about it, each in a sentence or two. `url` is the page to look at."""

    kind: AlarmKind
    message: str
    what_to_do: str
    about: str = ""
    url: str = ""


def raise_alarm(finding: Finding, *, now: datetime, earlier: Mapping[str, Any] | None = None) -> Alarm:
    """Open an alarm, or note that the open one was seen again; return it. Only opening it sends a webhook.

    `earlier` has values of an alarm that couldn't be stored when it opened: its ID, when it opened and was mailed.
    """
    about = finding.about[:LONGEST_ABOUT]
    texts: dict[str, Any] = {"message": finding.message, "what_to_do": finding.what_to_do, "url": finding.url}
    same = Alarm.objects.open().filter(kind=finding.kind, about=about)
    with transaction.atomic():
        while not same.update(seen_at=now, **texts):
            new = Alarm(kind=finding.kind, about=about, seen_at=now, **texts, **{"opened_at": now, **(earlier or {})})
            Alarm.objects.bulk_create([new], ignore_conflicts=True)
            if opened := same.filter(public_id=new.public_id).first():
                emit(WebhookEvent.ALARM_OPENED, "alarm", [opened.pk], at=now)
                return opened
            # Another process opened it at the same time. If it is already cleared again, a new one is opened.
        return same.get()  # the update locked it, so that it stays open until the end of this transaction


def clear_alarm(kind: AlarmKind, about: str = "", *, now: datetime) -> bool:
    """Clear the open alarm of this kind, and send a webhook; return whether there was one."""
    return bool(clear_alarms(list(Alarm.objects.open().filter(kind=kind, about=about)), now=now))


def clear_alarms(alarms: list[Alarm], *, now: datetime) -> int:
    """Clear these alarms, and send a webhook for each; return how many were open."""
    with transaction.atomic():
        rows = Alarm.objects.open().filter(pk__in=[alarm.pk for alarm in alarms]).order_by("pk")
        keys = list(rows.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
        Alarm.objects.filter(pk__in=keys).update(cleared_at=now)
        emit(WebhookEvent.ALARM_CLEARED, "alarm", keys, at=now)
    return len(keys)


def acknowledge(alarm: Alarm, note: str, *, by: User | None, now: datetime) -> Alarm:
    """Record who takes care of an open alarm, which stops its reminders. A later note replaces the earlier one.

    Without `by`, it is the API key of the request. Raises `AlarmCleared`.
    """
    person = person_of(by)
    with transaction.atomic():
        locked = Alarm.objects.select_for_update(no_key=True, of=("self",)).get(pk=alarm.pk)
        if locked.cleared_at is not None:
            raise AlarmCleared("The alarm was cleared meanwhile. There is nothing left to do.")
        locked.acknowledged_at, locked.note = now, note
        locked.acknowledged_by = person.user if person else None
        locked.acknowledged_key = person.key if person else ""
        with recorded(by=by, reason=note):
            locked.save(update_fields=["acknowledged_at", "acknowledged_by", "acknowledged_key", "note"])
    return locked
