"""What the demo waits for: the worker counts, a run bills the closed periods, and the invoice to print is there."""

import time
from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection
from django_celery_beat.models import PeriodicTask

from billing.demo.clients import PRINTED
from billing.models import BillingRun, Invoice, InvoiceKind, InvoiceState, RunKind, RunState
from billing.runs import billing_run
from billing.tasks import enqueue_chunks, finalize_due
from config.server.problems import StartupProblem
from customers.models import Subscription
from customers.subscriptions import get_billing_period
from events.models import InboxEvent

POLL_S = 0.2
PATIENCE_S = 90  # without any progress
BILLING_TASKS = ("billing.tasks.run_billing", "billing.tasks.finalize_due")


def forget_missed_schedules(now: datetime) -> None:
    """Have beat not catch up on billing that it missed while nothing ran: usage of that time is yet to be sent."""
    if "django_celery_beat_periodictask" in connection.introspection.table_names():
        PeriodicTask.objects.filter(task__in=BILLING_TASKS).update(last_run_at=now)


def wait_until_counted(tell: Callable[[int], None] = lambda waiting: None) -> None:
    """Return when no event waits. `tell` hears how many still do. Raises StartupProblem when that stops falling."""
    _wait(InboxEvent.objects.count, tell, "The worker doesn't take events out of the inbox")


def bill(*, now: datetime, by: User, tell: Callable[[int], None] = lambda left: None) -> BillingRun | None:
    """Have the workers bill and finalize all that is due; return the run, `None` when nothing was due.

    A run of the schedule that is under way is waited for instead. Raises StartupProblem when it doesn't end.
    """
    run = billing_run.start_run(as_of=now, now=now, kind=RunKind.MANUAL, by=by)
    if run is not None:
        enqueue_chunks(run)
        _wait(run.chunks.filter(finished_at=None).count, tell, "The worker doesn't take up the billing run")
        _wait(BillingRun.objects.filter(pk=run.pk, state=RunState.RUNNING).count, tell, "The billing run doesn't end")
        run.refresh_from_db()
    if (due := Invoice.objects.due_for_finalizing(now)).exists():
        finalize_due.delay()
        _wait(due.count, tell, "The worker doesn't finalize the invoices")
    return run


def invoice_to_print(*, now: datetime) -> Invoice | None:
    """Return the printed customer's invoice of the last period that is over, lines loaded; `None` if it is void."""
    subscription = Subscription.objects.get(key=PRINTED.key)
    period = get_billing_period(subscription, now, offset=-1)
    found = Invoice.objects.filter(subscription=subscription, period_start=period.start)
    live = found.exclude(state=InvoiceState.VOID).exclude(kind=InvoiceKind.OPENING)
    return live.select_related("customer", "subscription").prefetch_related("lines").first()


def _wait(left: Callable[[], int], tell: Callable[[int], None], problem: str) -> None:
    """Poll until nothing is left. Raises StartupProblem when there was no progress for long."""
    before, since = left(), time.monotonic()
    while remaining := left():
        tell(remaining)
        if remaining != before:
            before, since = remaining, time.monotonic()
        if time.monotonic() - since > PATIENCE_S:
            raise StartupProblem(f"{problem}: nothing moved for {PATIENCE_S} seconds. Its log says why.")
        time.sleep(POLL_S)
    tell(0)
