"""The schedules of a new installation. Staff edit them in the admin, and later releases keep their edits."""

from dataclasses import dataclass
from typing import Any

from auditlog.context import disable_auditlog
from django.apps import AppConfig
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from config.installation.models import InstalledSchedule


@dataclass(frozen=True)
class Every:
    """A schedule that runs a number of seconds after its last run."""

    seconds: int


@dataclass(frozen=True)
class At:
    """A schedule that runs at a time of day in UTC; `hour="*"` is every hour."""

    hour: str
    minute: str


@dataclass(frozen=True)
class Schedule:
    """A task, when it runs, and its description for staff.

    A run that waited longer than `expires` seconds for a free worker is dropped: the next run does its work.
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
        "Counts received events. New events also start this task directly; the schedule is the safety net.",
    ),
    Schedule(
        "Count events whose cause was fixed",
        "events.tasks.replay_mended",
        Every(seconds=15),
        60,
        "Counts events whose problem was fixed, for example because a customer was created or a feature changed.",
    ),
    Schedule(
        "Continue large replays",
        "events.tasks.go_on_mending",
        Every(seconds=15),
        60,
        "Continues replays and dismissals of many problems that were started and aren't finished.",
    ),
    Schedule(
        "Deliver webhooks",
        "config.tasks.deliver_webhooks",
        Every(seconds=2),
        10,
        "Sends new messages to the webhook endpoints, and retries failed ones when their retry is due.",
    ),
    Schedule(
        "Check for alarms",
        "config.tasks.check_for_alarms",
        Every(seconds=30),
        25,
        "Checks that everything works, and raises alarms. If this schedule doesn't run, a web process checks instead.",
    ),
    Schedule(
        "Expire requests for approval",
        "config.tasks.expire_approvals",
        At(hour="*", minute="50"),
        3000,
        "Closes requests for approval that no one has decided in time.",
    ),
    Schedule(
        "Seal the change log",
        "config.tasks.seal_change_log",
        Every(seconds=5),
        30,
        "Chains new entries of the change log, so that later edits are noticed, and copies them to CHANGE_LOG_STREAM if"
        " it is set.",
    ),
    Schedule(
        "Back up the database",
        "config.tasks.back_up",
        At(hour="1", minute="40"),
        3600,
        "Makes a backup in BACKUP_DIR and restores it into a scratch database to compare it. Does nothing if BACKUP_DIR"
        " isn't set.",
    ),
    Schedule(
        "Verify the change log",
        "config.tasks.verify_change_log",
        At(hour="2", minute="50"),
        3600,
        "Compares every entry of the change log with its seal. Changes nothing.",
    ),
    Schedule(
        "Send webhooks for new problem causes",
        "events.tasks.tell_of_causes",
        Every(seconds=60),
        50,
        "Tells webhook endpoints that events have a new problem or a conflict: once for each cause, for any number of"
        " events.",
    ),
    Schedule(
        "Check usage alerts",
        "events.tasks.check_alerts",
        Every(seconds=60),
        50,
        "Tells webhook endpoints that a subscription's usage reached a limit: once in each billing period.",
    ),
    Schedule(
        "Bill periods that have ended",
        "billing.tasks.run_billing",
        At(hour="*", minute="5"),
        3000,
        "Drafts the invoices that are due. Safe to run twice: a period is invoiced once.",
    ),
    Schedule(
        "Finalize drafts whose grace period is over",
        "billing.tasks.finalize_due",
        At(hour="*", minute="20"),
        3000,
        "Finalizes draft invoices that have waited long enough for late events.",
    ),
    Schedule(
        "Continue simulations",
        "billing.tasks.continue_simulations",
        Every(seconds=15),
        60,
        "Continues simulations that were started and aren't finished, for example after a restart.",
    ),
    Schedule(
        "Send emails",
        "billing.tasks.send_emails",
        Every(seconds=5),
        20,
        "Sends waiting emails to customers, at most EMAILS_PER_MINUTE, and tries again those that weren't accepted.",
    ),
    Schedule(
        "Remind of unpaid invoices",
        "billing.tasks.send_reminders",
        At(hour="*", minute="15"),
        3000,
        "Takes the steps of reminder schedules that are due, from 8:00 in the company's time zone. A step is taken once"
        " for an invoice.",
    ),
    Schedule(
        "Continue month ends",
        "billing.tasks.go_on_with_month_ends",
        Every(seconds=15),
        60,
        "Continues month ends of many customers that were started and aren't finished.",
    ),
    Schedule(
        "Continue erasures of personal data",
        "billing.tasks.erase_personal_data",
        Every(seconds=15),
        60,
        "Continues erasures of customers' personal data that were started and aren't finished.",
    ),
    Schedule(
        "Erase personal data that needn't be kept",
        "billing.tasks.erase_later_personal_data",
        At(hour="4", minute="10"),
        3600,
        "Erases what arrived about erased customers, and their documents once the law no longer requires them.",
    ),
    Schedule(
        "Prove billing",
        "billing.tasks.start_proofs",
        At(hour="3", minute="40"),
        3600,
        "Counts usage and calculates lines, receivables, credit and numbers again by other means, and names every"
        " difference. Changes nothing.",
    ),
    Schedule(
        "Continue proofs",
        "billing.tasks.go_on_with_proofs",
        Every(seconds=15),
        60,
        "Continues proofs that were started and aren't finished.",
    ),
    Schedule(
        "Calculate late usage",
        "billing.tasks.adjust_late_usage",
        Every(seconds=60),
        300,
        "Calculates what late events, replays and voids change in invoiced periods, and adjusts the next invoice.",
    ),
    Schedule(
        "Bill late usage of ended subscriptions",
        "billing.tasks.bill_late_usage",
        At(hour="*", minute="10"),
        3000,
        "Drafts an invoice for late usage of subscriptions that get no other invoice.",
    ),
    Schedule(
        "Check invoiced usage",
        "billing.tasks.check_invoiced_usage",
        At(hour="3", minute="30"),
        3600,
        "Compares the usage on recent invoices with current usage, and recalculates periods that differ.",
    ),
    Schedule(
        "Self-test",
        "billing.tasks.self_test",
        Every(seconds=180),
        120,
        "Sends known usage over HTTP, counts and invoices it, and compares each result. Nothing of it is stored. Does"
        " nothing unless SELF_TEST is on.",
    ),
    Schedule(
        "Write off expired credit",
        "billing.tasks.expire_credits",
        At(hour="0", minute="10"),
        3600,
        "Writes off expired prepaid credit in wallets. Invoices stop using credit the moment it expires.",
    ),
    Schedule(
        "Roll up past days of usage",
        "events.tasks.roll_up",
        At(hour="*", minute="40"),
        3000,
        "Adds up the hours of past days, two days later, so that long periods load fast.",
    ),
    Schedule(
        "Seal settled events",
        "events.tasks.seal",
        Every(seconds=600),
        500,
        "Moves events that arrived more than SEAL_AFTER_DAYS ago to EVENT_HISTORY. Does nothing if it isn't set.",
    ),
    Schedule(
        "Compare repeats of sealed events",
        "events.tasks.compare_repeats",
        Every(seconds=60),
        50,
        "Compares repeats of sealed events with the first events. Does nothing if EVENT_HISTORY isn't set.",
    ),
    Schedule(
        "Remove expired events and logs",
        "events.tasks.prune",
        At(hour="3", minute="10"),
        3600,
        "Deletes old logs, and events older than LEDGER_DAYS if it is set.",
    ),
)


# Schedules of earlier releases, whose work another one does now. They are removed, also if staff edited them.
RETIRED = ("events.tasks.check_usage",)  # usage is recounted by the proofs


def is_needed(schedule: PeriodicTask) -> bool:
    """Tell whether the product needs the schedule: it is one of the defaults, however staff named it."""
    return any(schedule.task == default.task for default in DEFAULTS)


def install_after_migrate(app_config: AppConfig, **kwargs: Any) -> None:
    """Install the defaults once the scheduler's tables exist: called after every `migrate`."""
    install_schedules()


def install_schedules() -> int:
    """Add the default schedules that were never installed, and remove the retired ones; return how many were added.

    A schedule that staff edited, disabled, renamed or deleted stays that way: installations are recorded separately,
    so a missing schedule isn't installed again.
    """
    added = 0
    with disable_auditlog():
        PeriodicTask.objects.filter(task__in=RETIRED).delete()
    for schedule in DEFAULTS:
        with transaction.atomic(), disable_auditlog():  # the change log holds what people change
            _, is_new = InstalledSchedule.objects.get_or_create(task=schedule.task)
            if is_new:
                _add(schedule)
                added += 1
    return added


def _add(schedule: Schedule) -> None:
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
