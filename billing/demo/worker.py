"""Have the Celery worker count the demo's events and bill them, and wait for the results."""

import time
from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection
from django_celery_beat.models import PeriodicTask

from billing.demo.customers import PRINTED
from billing.models import BillingRun, Invoice, InvoiceKind, InvoiceState, RunKind, RunState
from billing.runs import billing_run
from billing.tasks import enqueue_chunks, finalize_due
from config.server.problems import StartupProblem
from customers.models import Subscription
from customers.subscriptions import get_billing_period
from events.models import InboxEvent

POLL_S = 0.2
STALLED_S = 90
BILLING_TASKS = ("billing.tasks.run_billing", "billing.tasks.finalize_due")


def forget_missed_schedules(now: datetime) -> None:
    """Keep beat from starting billing that was due while the demo was stopped: its usage hasn't been sent yet."""
    if "django_celery_beat_periodictask" in connection.introspection.table_names():
        PeriodicTask.objects.filter(task__in=BILLING_TASKS).update(last_run_at=now)


def wait_until_counted(report: Callable[[int], None] = lambda remaining: None) -> None:
    """Wait until all events are counted, reporting the remaining number. Raises StartupProblem if it stalls."""
    _wait(InboxEvent.objects.count, report, "The worker doesn't process the events in the inbox")


def bill(*, now: datetime, by: User, report: Callable[[int], None] = lambda remaining: None) -> BillingRun | None:
    """Have the worker bill and finalize everything that is due. Return the run, or `None` if nothing was due.

    If a scheduled run is already in progress, wait for that run. Raises StartupProblem if it doesn't finish.
    """
    run = billing_run.start_run(as_of=now, now=now, kind=RunKind.MANUAL, by=by)
    if run is not None:
        enqueue_chunks(run)
        _wait(run.chunks.filter(finished_at=None).count, report, "The worker doesn't start the billing run")
        _wait(
            BillingRun.objects.filter(pk=run.pk, state=RunState.RUNNING).count, report, "The billing run doesn't finish"
        )
        run.refresh_from_db()
    if (due := Invoice.objects.due_for_finalizing(now)).exists():
        finalize_due.delay()
        _wait(due.count, report, "The worker doesn't finalize the invoices")
    return run


def find_printed_invoice(*, now: datetime) -> Invoice | None:
    """Return the printed customer's invoice of the last completed period with its lines, unless it is void."""
    subscription = Subscription.objects.get(key=PRINTED.key)
    period = get_billing_period(subscription, now, offset=-1)
    invoices = Invoice.objects.filter(subscription=subscription, period_start=period.start)
    live = invoices.exclude(state=InvoiceState.VOID).exclude(kind=InvoiceKind.OPENING)
    return live.select_related("customer", "subscription").prefetch_related("lines").first()


def _wait(count_remaining: Callable[[], int], report: Callable[[int], None], problem: str) -> None:
    """Poll until the remaining number is zero. Raises StartupProblem after STALLED_S without progress."""
    previous, since = count_remaining(), time.monotonic()
    while remaining := count_remaining():
        report(remaining)
        if remaining != previous:
            previous, since = remaining, time.monotonic()
        if time.monotonic() - since > STALLED_S:
            raise StartupProblem(f"{problem}: no progress for {STALLED_S} seconds. See the worker's log.")
        time.sleep(POLL_S)
    report(0)
