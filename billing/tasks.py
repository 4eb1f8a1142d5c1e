"""What Celery calls: billing runs, finalizing, late usage, credit that expires. Only here is the clock read."""

import time
from contextlib import ExitStack
from functools import partial

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from billing.late_usage.checks import find_checks
from billing.late_usage.reconcile import reconcile_due
from billing.lifecycle import finalize
from billing.models import BillingRun, RunKind
from billing.month_end import background
from billing.runs import billing_run, dry_run
from billing.runs.late_usage import bill_ended, check_recent, credit_reductions
from billing.settlement import wallets
from config.jobs import enqueue_on_commit, gc_paused

LONGEST_RUN_S = 30


@shared_task(name="billing.tasks.run_billing")
def run_billing() -> int:
    """Bill all that is due, a chunk a task; return how many chunks were handed out.

    Safe to run twice or side by side. A run whose workers died is taken up where it stopped.
    """
    now = timezone.now()
    run = billing_run.start_run(as_of=now, now=now)
    handed = 0 if run is None else enqueue_chunks(run)
    return handed + sum(enqueue_chunks(dry) for dry in dry_run.unfinished_dry_runs())


def enqueue_chunks(run: BillingRun) -> int:
    """Send a run's unfinished chunks to the workers once the transaction is over; return how many."""
    task = dry_run_chunk if run.kind == RunKind.DRY else bill_chunk
    chunks = billing_run.unfinished_chunks(run)
    for chunk_id in chunks:
        transaction.on_commit(partial(task.delay, chunk_id))
    if not chunks:
        billing_run.add_up_run(run.pk, now=timezone.now())
    return len(chunks)


@shared_task(name="billing.tasks.dry_run_chunk")
def dry_run_chunk(chunk_id: int) -> int:
    """Work out one chunk of a dry run; return how many invoices it would make. A second call finds it done."""
    with gc_paused():
        tally = dry_run.dry_run_chunk(chunk_id, now=timezone.now())
    return 0 if tally is None else tally.invoices


@shared_task(name="billing.tasks.retry_subscriptions")
def retry_subscriptions(subscription_ids: list[int]) -> int:
    """Bill parked subscriptions now, whatever their waiting time; return how many invoices it made. Safe to repeat."""
    return billing_run.bill_subscriptions(subscription_ids, as_of=timezone.now(), retrying=True).invoices


@shared_task(name="billing.tasks.bill_chunk")
def bill_chunk(chunk_id: int) -> int:
    """Bill one chunk of a run; return how many invoices it made. A second call, or one beside another, makes none."""
    with gc_paused():
        tally = billing_run.bill_chunk(chunk_id, now=timezone.now())
    return 0 if tally is None else tally.invoices


@shared_task(name="billing.tasks.finalize_due")
def finalize_due(after: int = 0) -> int:
    """Finalize drafts whose grace period is over, recomputed with what came in during it; return how many.

    Ends after half a minute at the latest and asks for itself again, to go on `after` the last draft's key; killed, the
    schedule begins anew. Safe to repeat and to run side by side: drafts that another works on are passed over.
    """
    finalized, deadline = 0, time.monotonic() + LONGEST_RUN_S
    while True:
        with gc_paused():
            done, after = finalize.finalize_next(after, now=timezone.now())
        finalized += done
        if not after:
            return finalized
        if time.monotonic() >= deadline:
            enqueue_on_commit(finalize_due, after)
            return finalized


@shared_task(name="billing.tasks.adjust_late_usage")
def adjust_late_usage() -> int:
    """Work out what late events change about invoiced periods; return how many periods were looked at.

    Safe to run twice or side by side.
    """
    now = timezone.now()
    find_checks(now=now)
    done = reconcile_due(now=now)
    credit_reductions(now=now)
    return done


@shared_task(name="billing.tasks.bill_late_usage")
def bill_late_usage() -> int:
    """Draft invoices over late usage for subscriptions that get no other; return how many. Safe to repeat."""
    return len(bill_ended(now=timezone.now()))


@shared_task(name="billing.tasks.check_invoiced_usage")
def check_invoiced_usage() -> int:
    """Compare the usage of recent invoices with what is counted now; return how many periods differ. Safe to repeat."""
    return check_recent(now=timezone.now())


@shared_task(name="billing.tasks.expire_credits")
def expire_credits() -> int:
    """Write off prepaid credit that has expired; return of how many grants. Safe to repeat and to run side by side."""
    return wallets.expire_credits(now=timezone.now())


@shared_task(name="billing.tasks.continue_month_ends")
def continue_month_ends() -> int:
    """Go on with month ends that are being worked out, a chunk a transaction. Gives how many chunks were worked out.

    Ends after half a minute at the latest and asks for itself again; killed, the schedule asks. Safe to run twice or
    side by side. One that fails raises once the others had their turn, and is tried again by the schedule.
    """
    steps, deadline = 0, time.monotonic() + LONGEST_RUN_S

    def go_on(report_id: int) -> None:
        nonlocal steps
        while time.monotonic() < deadline and background.take_step(report_id, now=timezone.now()):
            steps += 1

    with ExitStack() as turns:  # what one of them raises waits until all have been called, the last one added first
        for report_id in reversed(background.unfinished()):
            turns.callback(go_on, report_id)
    if time.monotonic() >= deadline:
        enqueue_month_ends()
    return steps


def enqueue_month_ends() -> None:
    """Ask a worker to go on with month ends once this is committed. Without a broker the schedule asks."""
    enqueue_on_commit(continue_month_ends, expires=60)
