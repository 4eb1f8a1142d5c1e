"""Wait until the Celery worker has counted the demo's events, and bill what was due since they began."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Min
from django_celery_beat.models import PeriodicTask

from billing.demo.customers import PRINTED
from billing.lifecycle.finalize import finalize_due
from billing.models import BillingRun, Invoice, InvoiceKind, InvoiceState
from billing.runs.billing_run import run_to_end
from billing.runs.billing_states import due, refresh_states
from config.server.problems import StartupProblem
from customers.models import Subscription
from customers.subscriptions import get_billing_period
from events.models import InboxEvent

POLL_S = 0.2
STALLED_S = 90
BILLED_AFTER = timedelta(hours=12)
BILLING_TASKS = ("billing.tasks.run_billing", "billing.tasks.finalize_due")


def forget_missed_schedules(now: datetime) -> None:
    """Keep beat from starting billing that was due while the demo was stopped: its usage hasn't been sent yet."""
    if "django_celery_beat_periodictask" in connection.introspection.table_names():
        PeriodicTask.objects.filter(task__in=BILLING_TASKS).update(last_run_at=now)


def wait_until_counted(report: Callable[[int], None] = lambda remaining: None) -> None:
    """Wait until all events are counted, reporting the remaining number. Raises StartupProblem if it stalls."""
    _wait(InboxEvent.objects.count, report, "The worker doesn't process the events in the inbox")


def bill(*, now: datetime, by: User, report: Callable[[int], None] = lambda remaining: None) -> list[BillingRun]:
    """Bill and finalize every period half a day after it was due, as a schedule would have; return the runs.

    Invoices then have the dates of their time: issue dates are in UTC, and half a day later every time zone has reached
    them. This process bills, because the worker uses the current time.
    """
    runs: list[BillingRun] = []
    refresh_states()
    while (moment := due(now).aggregate(moment=Min("due_at"))["moment"]) is not None:
        report(due(now).count())
        billed_at = min(moment + BILLED_AFTER, now)
        run = run_to_end(as_of=billed_at, by=by)
        finalize_due(now=billed_at)
        if run is None or (runs and run.as_of == runs[-1].as_of):
            break  # what is still due can't be billed
        runs.append(run)
    report(0)
    return runs


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
