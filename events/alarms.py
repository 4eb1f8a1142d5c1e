"""The checks of usage tracking: events are counted within a minute, and usage is what the events add up to."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.pace import paced
from config.alarms.raising import Finding
from config.monitoring.queues import Queue, register_queue
from config.office.links import admin_url
from config.templatetags.countinghouse import seconds
from events.history.planning import oldest_unsealed
from events.ledger.rebuilding import Scope
from events.models import UsageCheck
from events.overview.dashboard import WAITING_CAP, waiting

LATE_AFTER_S = paced(seconds=60).total_seconds()
SEALED_WITHIN = timedelta(days=2)


def find_waiting(now: datetime) -> Iterator[Finding]:
    """Find that events wait for longer than a minute."""
    inbox = waiting(now=now)
    if inbox.oldest_s > LATE_AFTER_S:
        many = "or more " if inbox.count >= WAITING_CAP else ""
        yield Finding(
            AlarmKind.EVENTS_WAITING,
            f"{inbox.count:,} {many}{'event waits' if inbox.count == 1 else 'events wait'} to be counted, "
            f"the oldest for {seconds(inbox.oldest_s)}.",
            "No event is lost, but invoices and alerts lack them. Check that a worker is alive and that no session "
            "holds a lock (System). If events arrive faster than they are counted, start another worker.",
            url=admin_url("events_inboxevent_changelist"),
        )


def find_differences(now: datetime) -> Iterator[Finding]:
    """Find that the latest check of all usage found differences which no one has applied."""
    check = UsageCheck.objects.filter(scope=Scope().description, finished_at__isnull=False).order_by("-pk").first()
    if check and check.differing and check.applied_at is None:
        yield Finding(
            AlarmKind.USAGE_DIFFERS,
            f"Usage differs from the events in {check.differing:,} of {check.buckets:,} hours.",
            "Open the check to see which features and customers. manage.py rebuild_usage shows the same, and with "
            "--apply writes what the events add up to. Find out what changed usage before you apply it.",
            url=admin_url("events_usagecheck_change", check.pk),
        )


def find_sealing_behind(now: datetime) -> Iterator[Finding]:
    """Find that settled events are still in the ledger two days after they could have been sealed."""
    if (oldest := oldest_unsealed()) is None:
        return
    due = now - timedelta(days=settings.SEAL_AFTER_DAYS) - SEALED_WITHIN
    if oldest < due:
        yield Finding(
            AlarmKind.SEALING_BEHIND,
            f"Events that arrived {oldest:%Y-%m-%d %H:%M} UTC are still in the database.",
            "Nothing is lost, and usage is right, but the database grows. See whether the task events.tasks.seal fails "
            "(System), and whether EVENT_HISTORY can be written.",
            url=admin_url("events_sealedpart_changelist"),
        )


def read_inbox(now: datetime) -> Queue:
    """Return the inbox as a queue."""
    inbox = waiting(now=now)
    return Queue("Events", inbox.count, inbox.oldest_s or None, admin_url("events_inboxevent_changelist"))


def register_checks() -> None:
    """Register the checks of usage tracking, and its queue."""
    register_queue(read_inbox)
    register_check("sealed events", [AlarmKind.SEALING_BEHIND], find_sealing_behind)
    register_check("the inbox", [AlarmKind.EVENTS_WAITING], find_waiting)
    register_check("usage", [AlarmKind.USAGE_DIFFERS], find_differences)
