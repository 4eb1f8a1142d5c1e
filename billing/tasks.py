"""Celery tasks for billing runs, finalizing, reminders, late usage, month ends, proofs and expired credit.

Only here is the clock read.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pglock
from celery import shared_task
from django.conf import settings
from django.db import transaction

from billing.late_usage.checks import find_checks
from billing.late_usage.reconcile import reconcile_due
from billing.lifecycle import finalize
from billing.models import BillingRun, RunKind
from billing.month_end import background
from billing.personal_data import erasing
from billing.proofs import runs as proof_runs
from billing.reminders.taking import take_due_steps
from billing.runs import billing_run, dry_run
from billing.runs.late_usage import bill_ended, check_recent, credit_reductions
from billing.self_test.running import delete_sent, run_self_test
from billing.sending.delivering import EMAILS_LOCK, deliver_due
from billing.settlement import credit_expiry
from billing.simulation import running as simulation
from config.db.clock import read_clock
from config.jobs import enqueue_on_commit, gc_paused, run_for_a_turn

log = logging.getLogger(__name__)

SELF_TEST_LOCK = 7_301_040
CONTINUES_WITHIN_S = 60 * 60


@shared_task(name="billing.tasks.run_billing")
def run_billing() -> int:
    """Bill every subscription that is due, one task per chunk; return how many chunks were enqueued.

    Safe to run twice or concurrently. A run whose workers died continues where it stopped, and so does a dry run.
    """
    now = read_clock()
    run = billing_run.start_run(as_of=now, now=now)
    enqueued = 0 if run is None else enqueue_chunks(run)
    return enqueued + sum(enqueue_chunks(dry) for dry in dry_run.unfinished_dry_runs())


def enqueue_chunks(run: BillingRun) -> int:
    """Enqueue a run's unfinished chunks once the transaction is committed; return how many there are."""
    task = dry_run_chunk if run.kind == RunKind.DRY else bill_chunk
    chunks = billing_run.unfinished_chunks(run)
    for chunk_id in chunks:
        transaction.on_commit(partial(task.delay, chunk_id))
    if not chunks:
        billing_run.add_up_run(run.pk, now=read_clock())
    return len(chunks)


@shared_task(name="billing.tasks.foresee_chunk")
def dry_run_chunk(chunk_id: int) -> int:
    """Calculate one chunk of a dry run; return how many invoices it would make. A second call does nothing."""
    with gc_paused():
        tally = dry_run.dry_run_chunk(chunk_id, now=read_clock())
    return 0 if tally is None else tally.invoices


@shared_task(name="billing.tasks.retry_subscriptions")
def retry_subscriptions(subscription_ids: list[int]) -> int:
    """Bill parked subscriptions now, before their retry is due; return how many invoices were made. Safe to repeat."""
    return billing_run.bill_subscriptions(subscription_ids, as_of=read_clock(), retrying=True).invoices


@shared_task(name="billing.tasks.bill_chunk")
def bill_chunk(chunk_id: int) -> int:
    """Bill one chunk of a run; return how many invoices were made. A second or concurrent call makes none."""
    with gc_paused():
        tally = billing_run.bill_chunk(chunk_id, now=read_clock())
    return 0 if tally is None else tally.invoices


@shared_task(name="billing.tasks.finalize_due")
def finalize_due(after: int = 0) -> int:
    """Finalize drafts whose grace period is over, recomputed with the usage received during it; return how many.

    Runs for about half a minute, then enqueues itself to continue `after` the key of the last draft. If it is killed,
    the schedule starts over. Safe to repeat and to run concurrently: drafts locked by another worker are skipped.
    """

    def finalize_batches() -> Iterator[int]:
        nonlocal after
        while True:
            with gc_paused():
                finalized, after = finalize.finalize_next(after, now=read_clock())
            if not after:
                return
            yield finalized

    return run_for_a_turn(finalize_batches(), lambda: enqueue_on_commit(finalize_due, after))


@shared_task(name="billing.tasks.adjust_late_usage")
def adjust_late_usage() -> int:
    """Calculate what late events change about invoiced periods; return how many periods were checked.

    Safe to run twice or concurrently.
    """
    now = read_clock()
    find_checks(now=now)
    checked = reconcile_due(now=now)
    credit_reductions(now=now)
    return checked


@shared_task(name="billing.tasks.bill_late_usage")
def bill_late_usage() -> int:
    """Draft invoices for late usage of subscriptions that get no other invoice; return how many. Safe to repeat."""
    return len(bill_ended(now=read_clock()))


@shared_task(name="billing.tasks.check_invoiced_usage")
def check_invoiced_usage() -> int:
    """Compare the usage on recent invoices with current usage; return how many periods differ. Safe to repeat."""
    return check_recent(now=read_clock())


@shared_task(name="billing.tasks.expire_credits")
def expire_credits() -> int:
    """Write off expired prepaid credit; return the number of grants. Safe to repeat and to run concurrently."""
    return credit_expiry.expire_credits(now=read_clock())


@shared_task(name="billing.tasks.self_test")
def self_test() -> int:
    """Run the self-test if SELF_TEST is on; return how many stages passed. Of two calls at once, one runs.

    If it is off, delete what a pass that was killed has left.
    """
    with pglock.advisory(SELF_TEST_LOCK, timeout=0) as is_alone:
        if is_alone and settings.SELF_TEST:
            return len(run_self_test(now=read_clock()).stages)
        if is_alone:
            delete_sent()
    return 0


@shared_task(name="billing.tasks.send_emails")
def send_emails() -> int:
    """Send due emails for at most 20 seconds; return how many. Of two calls at once, one sends."""
    with pglock.advisory(EMAILS_LOCK, timeout=0) as is_alone:
        return deliver_due(now=read_clock()) if is_alone else 0


@shared_task(name="billing.tasks.send_reminders")
def send_reminders() -> int:
    """Take the steps of reminders that are due today, from eight in the morning; return how many.

    Runs for about half a minute, then enqueues itself; if it is killed, the schedule continues. Safe to run twice or
    concurrently: each step is taken once.
    """
    return run_for_a_turn(take_due_steps(now=read_clock()), lambda: enqueue_on_commit(send_reminders, expires=60))


@shared_task(name="billing.tasks.go_on_with_month_ends")
def continue_month_ends() -> int:
    """Calculate month ends that were started, one transaction per chunk; return how many chunks were calculated.

    Runs for about half a minute, then enqueues itself; if it is killed, the schedule continues. Safe to run twice or
    concurrently. The error of a failing month end is raised after the others had their turn, and the schedule tries
    again.
    """
    chunks = _calculate_all("Month end", background.unfinished(), background.calculate_chunk)
    return run_for_a_turn(chunks, enqueue_month_ends)


def _calculate_all(kind: str, ids: Iterable[int], calculate: Callable[..., int]) -> Iterator[int]:
    """Calculate the chunks of each id to its end. The first error is raised after the others had their turn."""
    errors = []
    for pk in ids:
        try:
            while calculated := calculate(pk, now=read_clock()):
                yield int(calculated)
        except Exception as error:
            log.exception("%s %s failed", kind, pk)
            errors.append(error)
    if errors:
        raise errors[0]


def enqueue_month_ends() -> None:
    """Enqueue the task that continues month ends once the transaction is committed."""
    enqueue_on_commit(continue_month_ends, expires=60)


@shared_task(name="billing.tasks.erase_personal_data")
def erase_personal_data() -> int:
    """Continue erasures of personal data, one transaction per step; return how many steps were done.

    Runs for about half a minute, then enqueues itself; if it is killed, the schedule continues.
    """

    def do_steps() -> Iterator[int]:
        while erasing.continue_erasure(now=read_clock()):
            yield 1

    return run_for_a_turn(do_steps(), enqueue_erasures)


def enqueue_erasures() -> None:
    """Enqueue the task that continues erasures once the transaction is committed."""
    enqueue_on_commit(erase_personal_data, expires=60)


@shared_task(name="billing.tasks.erase_later_personal_data")
def erase_later_personal_data() -> int:
    """Erase what arrived about erased customers, and documents that needn't be kept any more; return how many rows.

    Runs for about half a minute, then enqueues itself for the customers that are left. Safe to repeat.
    """
    now = read_clock()
    rows = (erasing.erase_later_data(erasure, now=now) for erasure in erasing.due_for_check(now=now))
    return run_for_a_turn(rows, lambda: enqueue_on_commit(erase_later_personal_data, expires=CONTINUES_WITHIN_S))


@shared_task(name="billing.tasks.start_proofs")
def start_nightly_proofs() -> int:
    """Start the proofs of the night, unless those of an earlier night are still running. Safe to repeat."""
    proof_runs.start_nightly(now=read_clock())
    enqueue_proofs()
    return 1


@shared_task(name="billing.tasks.go_on_with_proofs")
def continue_proofs() -> int:
    """Prove what was started, one transaction per part; return how many parts were proved.

    Runs for about half a minute, then enqueues itself; if it is killed, the schedule continues. Safe to run twice or
    concurrently. The error of a failing run is raised after the others had their turn.
    """
    return run_for_a_turn(_proof_parts(), enqueue_proofs)


def _proof_parts() -> Iterator[int]:
    """Prove a part of each unfinished run in turn, so that a long or failing run doesn't hold up the others."""
    errors: dict[int, Exception] = {}
    while True:
        proved = 0
        for run_id in proof_runs.unfinished():
            try:
                has_proved = run_id not in errors and proof_runs.prove_part(run_id, now=read_clock())
            except Exception as error:
                log.exception("Proofs %s failed", run_id)
                errors[run_id] = error
            else:
                proved += has_proved
                yield int(has_proved)
        if not proved:
            break
    if errors:
        raise next(iter(errors.values()))


def enqueue_proofs() -> None:
    """Enqueue the task that continues proofs once the transaction is committed."""
    enqueue_on_commit(continue_proofs, expires=60)


@shared_task(name="billing.tasks.continue_simulations")
def continue_simulations() -> int:
    """Calculate simulations that were started, one transaction per chunk; return how many subscriptions.

    Runs for about half a minute, then enqueues itself; if it is killed, the schedule continues. Safe to run twice or
    concurrently: workers calculate different chunks. The error of a failing simulation is raised after the others had
    their turn, and the schedule tries again.
    """
    with gc_paused():
        chunks = _calculate_all("Simulation", simulation.unfinished(), simulation.simulate_chunk)
        return run_for_a_turn(chunks, enqueue_simulations)


def enqueue_simulations(*, times: int = 1) -> None:
    """Enqueue the task that continues simulations once the transaction is committed, for one or more workers."""
    for _ in range(times):
        enqueue_on_commit(continue_simulations, expires=60)
