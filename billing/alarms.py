"""The checks of billing: that runs go on, and that every subscription can be billed."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Max

from billing.models import BillingRun, BillingState, Email, EmailState
from billing.models.runs import RunState
from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding
from config.office.links import admin_url

STUCK_AFTER = timedelta(minutes=15)
EMAIL_LATE_AFTER = timedelta(minutes=15)
MOST_COUNTED = 1_001


def find_stuck(now: datetime) -> Iterator[Finding]:
    """Find runs of which no part was finished for a quarter of an hour."""
    running = BillingRun.objects.filter(state=RunState.RUNNING, started_at__lt=now - STUCK_AFTER)
    for run in running.annotate(last_at=Max("chunks__finished_at")).order_by("pk"):
        last_at = run.last_at or run.started_at
        if now - last_at > STUCK_AFTER:
            yield Finding(
                AlarmKind.RUN_STUCK,
                f"{run} has been stuck at {run.done:,} of {run.subscriptions:,} subscriptions since "
                f"{last_at:%H:%M} UTC.",
                "Check that a worker takes tasks from the queue “runs” (System). The hourly schedule continues the "
                "run; starting one at Billing runs does so now.",
                about=run.public_id,
                url=run.get_absolute_url(),
            )


def find_parked(now: datetime) -> Iterator[Finding]:
    """Find subscriptions that couldn't be billed."""
    parked = BillingState.objects.filter(parked_at__isnull=False)
    if count := parked.order_by()[:MOST_COUNTED].count():
        first = parked.select_related("subscription__customer").order_by("parked_at").first()
        example = f" The first, {first.subscription}: {first.parked_reason}" if first else ""
        yield Finding(
            AlarmKind.BILLING_FAILING,
            f"{count:,} {'subscription' if count == 1 else 'subscriptions'} can't be billed.{example}",
            "Open Upcoming, where each has its reason. Fix the reason, then retry. The others are billed meanwhile.",
            url=f"{admin_url('billing_upcoming')}?parked=1",
        )


def find_emails(now: datetime) -> Iterator[Finding]:
    """Find emails that customers didn't get, and emails that wait although they are due."""
    problems = Email.objects.problems()
    if count := problems.order_by()[:MOST_COUNTED].count():
        yield Finding(
            AlarmKind.EMAIL_FAILING,
            f"{count:,} {'email' if count == 1 else 'emails'} failed, bounced, or may not have been sent.",
            "Open Emails, where each has its reason. Correct the customer's addresses and send the email again, or "
            "mark it as handled.",
            url=admin_url("billing_email_changelist", problem="yes"),
        )
    waiting = Email.objects.filter(state=EmailState.PENDING, tries__gt=0, created_at__lt=now - EMAIL_LATE_AFTER)
    first = waiting.order_by("pk").first()
    if first is not None:
        yield Finding(
            AlarmKind.EMAIL_FAILING,
            f"Emails have waited since {first.created_at:%Y-%m-%d %H:%M} UTC.",
            "The mail server doesn't accept them. Check EMAIL_URL and the server. The emails are tried again "
            "automatically.",
            about="waiting",
            url=admin_url("billing_email_changelist", state__exact=EmailState.PENDING),
        )


def register_checks() -> None:
    """Register the checks of billing."""
    register_check("emails", [AlarmKind.EMAIL_FAILING], find_emails)
    register_check("billing runs", [AlarmKind.RUN_STUCK], find_stuck)
    register_check("parked subscriptions", [AlarmKind.BILLING_FAILING], find_parked)
