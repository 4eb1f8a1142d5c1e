"""What Celery calls: billing runs and finalizing. Only here is the clock read."""

from functools import partial

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from billing import finalizing, runs
from billing.models import BillingRun


@shared_task(name="billing.tasks.run_billing")
def run_billing() -> int:
    """Bill all that is due, a chunk a task; return how many chunks were handed out.

    Safe to run twice or side by side. A run whose workers died is taken up where it stopped.
    """
    now = timezone.now()
    run = runs.start_run(as_of=now, now=now)
    return 0 if run is None else hand_out(run)


def hand_out(run: BillingRun) -> int:
    """Send a run's unfinished chunks to the workers once the transaction is over; return how many."""
    chunks = runs.unfinished_chunks(run)
    for chunk_id in chunks:
        transaction.on_commit(partial(bill_chunk.delay, chunk_id))
    if not chunks:
        runs.add_up_run(run.pk, now=timezone.now())
    return len(chunks)


@shared_task(name="billing.tasks.bill_chunk")
def bill_chunk(chunk_id: int) -> int:
    """Bill one chunk of a run; return how many invoices it made. A second call, or one beside another, makes none."""
    tally = runs.bill_chunk(chunk_id, now=timezone.now())
    return 0 if tally is None else tally.invoices


@shared_task(name="billing.tasks.finalize_due")
def finalize_due() -> int:
    """Finalize drafts whose grace period is over, recomputed with what came in during it. Safe to repeat."""
    return finalizing.finalize_due(now=timezone.now())
