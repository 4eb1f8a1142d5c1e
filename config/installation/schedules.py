"""The schedules a new installation starts with. Staff edit them in the admin, and their edits stay."""

from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.db import transaction


@dataclass(frozen=True)
class Every:
    """A schedule that runs again a number of seconds after it last ran."""

    seconds: int


@dataclass(frozen=True)
class At:
    """A schedule that runs at a time of day (UTC); `hour="*"` is every hour."""

    hour: str
    minute: str


@dataclass(frozen=True)
class Schedule:
    """One task, when it runs, and what staff read about it.

    A run that waited longer than `expires` seconds for a free worker is dropped: the next one does its work.
    """

    name: str
    task: str
    when: Every | At
    expires: int
    description: str


DEFAULTS = (
    Schedule(
        "Count waiting events",
        "events.tasks.process_inbox",
        Every(seconds=1),
        10,
        "Turns received events into usage. New events also ask for it at once; this is the safety net.",
    ),
    Schedule(
        "Count events whose cause was mended",
        "events.tasks.replay_mended",
        Every(seconds=15),
        60,
        "Finds events that didn't count and now can: a customer was created, a feature changed.",
    ),
    Schedule(
        "Go on with large replays",
        "events.tasks.continue_fixes",
        Every(seconds=15),
        60,
        "Takes up replays and dismissals of many problems that were begun and aren't finished.",
    ),
    Schedule(
        "Deliver webhooks",
        "config.tasks.deliver_webhooks",
        Every(seconds=2),
        10,
        "Sends messages that wait to the webhook endpoints, and those that failed again when their time comes.",
    ),
    Schedule(
        "Tell of new causes of problems",
        "events.tasks.notify_new_causes",
        Every(seconds=60),
        50,
        "Tells webhook endpoints that events began not to count: once for each cause, however many events it has.",
    ),
    Schedule(
        "Check usage alerts",
        "events.tasks.check_alerts",
        Every(seconds=60),
        50,
        "Tells webhook endpoints that a subscription's usage reached a quantity: once in each billing period.",
    ),
    Schedule(
        "Bill periods that have ended",
        "billing.tasks.run_billing",
        At(hour="*", minute="5"),
        3000,
        "Issues the invoices that are due. Safe to run twice: a period is invoiced once.",
    ),
    Schedule(
        "Finalize drafts whose grace period is over",
        "billing.tasks.finalize_due",
        At(hour="*", minute="20"),
        3000,
        "Numbers and freezes draft invoices that have waited long enough for late events.",
    ),
    Schedule(
        "Go on with month ends",
        "billing.tasks.continue_month_ends",
        Every(seconds=15),
        60,
        "Takes up month ends of many customers that are being worked out and aren't finished.",
    ),
    Schedule(
        "Work out late usage",
        "billing.tasks.adjust_late_usage",
        Every(seconds=60),
        300,
        "Finds what late events, replays and voids change about invoiced periods, and adjusts the next invoice.",
    ),
    Schedule(
        "Bill late usage of ended subscriptions",
        "billing.tasks.bill_late_usage",
        At(hour="*", minute="10"),
        3000,
        "Drafts an invoice over late usage where no other will come.",
    ),
    Schedule(
        "Check invoiced usage",
        "billing.tasks.check_invoiced_usage",
        At(hour="3", minute="30"),
        3600,
        "Compares the usage of recent invoices with what is counted now, and has differences worked out.",
    ),
    Schedule(
        "Write off expired credit",
        "billing.tasks.expire_credits",
        At(hour="0", minute="10"),
        3600,
        "Takes prepaid credit that has expired out of its wallet. No invoice uses it from the moment it expires.",
    ),
    Schedule(
        "Roll up past days of usage",
        "events.tasks.roll_up",
        At(hour="*", minute="40"),
        3000,
        "Adds the hours of days that ended two days ago, so that long windows are read fast.",
    ),
    Schedule(
        "Check usage against the ledger",
        "events.tasks.check_usage",
        At(hour="2", minute="30"),
        3600,
        "Recounts all usage from the events and reports any difference. Changes nothing.",
    ),
    Schedule(
        "Remove what is past keeping",
        "events.tasks.prune",
        At(hour="3", minute="10"),
        3600,
        "Removes old logs, and events older than LEDGER_DAYS if that is set.",
    ),
)


def install_after_migrate(app_config: AppConfig, **kwargs: Any) -> None:
    """Install the defaults once the scheduler's tables exist: called after every `migrate`."""
    install_schedules()


def install_schedules() -> int:
    """Add the default schedules that were never installed; return how many.

    One that staff edited, disabled, renamed or deleted stays as they left it: what was installed is remembered
    by the installation marker, not by looking for the schedule.
    """
    from config.installation.models import InstalledSchedule

    added = 0
    for schedule in DEFAULTS:
        with transaction.atomic():
            _, is_new = InstalledSchedule.objects.get_or_create(task=schedule.task)
            if is_new:
                _add(schedule)
                added += 1
    return added


def _add(schedule: Schedule) -> None:
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    when: dict[str, Any]
    if isinstance(schedule.when, Every):
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=schedule.when.seconds, period=IntervalSchedule.SECONDS
        )
        when = {"interval": interval}
    else:
        crontab, _ = CrontabSchedule.objects.get_or_create(
            minute=schedule.when.minute,
            hour=schedule.when.hour,
            day_of_week="*",
            day_of_month="*",
            month_of_year="*",
            timezone="UTC",
        )
        when = {"crontab": crontab}
    PeriodicTask.objects.get_or_create(
        name=schedule.name,
        defaults={
            "task": schedule.task,
            "description": schedule.description,
            "expire_seconds": schedule.expires,
            **when,
        },
    )
