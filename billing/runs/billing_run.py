"""Billing runs: one pass over all subscriptions that are due, in chunks that workers claim one by one.

A chunk is one transaction: its invoices, the billing progress of its subscriptions and its totals are saved together.
If a worker dies, its chunk is undone and another worker claims it. A chunk that another worker holds is skipped.
Starting a run while another is running continues the running one.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from billing import wording
from billing.charges.next_invoice import NextInvoice, is_issued, mark_invoiced, next_invoice, reopen_billing
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices, record_on_subscription
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.issue import issue_invoices
from billing.invoicing.subscriptions import load_subscriptions
from billing.isolation import isolate, unexpected_error
from billing.kinds import IN_ADVANCE_KINDS, InvoiceKind
from billing.models import BillingRun, BillingState, RunChunk, RunFinding, RunKind, RunState
from billing.runs.billing_states import advance, close_due, due, park, refresh_states, save_states, unpark
from billing.runs.tally import ExpectedInvoices, Tally
from config.db.bulk_insert import copy_in
from config.jobs import claim, cut_into_ranges
from customers.models import Subscription
from events.ledger.closing import marks_of

logger = logging.getLogger(__name__)


CHUNK_SIZE = 1_000  # subscriptions in a transaction; larger chunks are hardly faster and need more memory


ADD_UP_CHUNKS = """
    SELECT COALESCE(sum(done), 0), COALESCE(sum(invoices_made), 0), COALESCE(sum(failed), 0),
        count(*) FILTER (WHERE finished_at IS NULL)
    FROM billing_runchunk WHERE run_id = %s
"""


ADD_UP_AMOUNTS = """
    SELECT currency, sum(amount::numeric)
    FROM billing_runchunk CROSS JOIN jsonb_each_text(amounts) AS part (currency, amount)
    WHERE run_id = %s
    GROUP BY currency ORDER BY currency
"""


@dataclass(slots=True)
class Progress:
    """A subscription on its way through a batch: the invoices calculated so far, and why it stopped."""

    state: BillingState
    subscription: BilledSubscription
    computed: list[ComputedInvoice] = field(default_factory=list)
    problem: str = ""


def start_run(
    *, as_of: datetime, now: datetime, kind: RunKind = RunKind.SCHEDULED, by: User | None = None
) -> BillingRun | None:
    """Start a run over all that is due by `as_of`, or return the running one so that it can be continued.

    Returns `None`, and writes nothing, if nothing is due.
    """
    refresh_states()
    close_due(as_of)
    with transaction.atomic(), connection.cursor() as cursor:
        # A concurrent call waits here, and then returns the run that this one started.
        cursor.execute("LOCK TABLE billing_billingrun IN SHARE ROW EXCLUSIVE MODE")
        running = BillingRun.objects.filter(state=RunState.RUNNING).exclude(kind=RunKind.DRY).first()
        if running is not None:
            return running
        states = due(as_of)
        count = states.count()
        if not count:
            return None
        run = BillingRun.objects.create(kind=kind, as_of=as_of, started_at=now, subscriptions=count, started_by=by)
        cut_into_chunks(run, states.values("subscription_id"))
    return run


def cut_into_chunks(run: BillingRun, subscription_ids: QuerySet[Any, Any]) -> None:
    """Cut the subscriptions whose ids a query selects into the run's chunks."""
    RunChunk.objects.bulk_create(
        RunChunk(run=run, first_id=ids.first_id, last_id=ids.last_id)
        for ids in cut_into_ranges(subscription_ids, CHUNK_SIZE)
    )


def unfinished_chunks(run: BillingRun) -> list[int]:
    """List the chunks that no worker has finished yet."""
    return list(run.chunks.filter(finished_at=None).values_list("pk", flat=True))


def bill_chunk(chunk_id: int, *, now: datetime) -> Tally | None:
    """Bill a chunk's subscriptions, all or nothing. `None` if another worker holds the chunk or it is finished."""
    with transaction.atomic():
        chunk = claim_chunk(chunk_id)
        if chunk is None:
            return None
        states = due(chunk.run.as_of).filter(pk__gte=chunk.first_id, pk__lte=chunk.last_id)
        ids = list(states.values_list("pk", flat=True))
        tally = bill_subscriptions(ids, as_of=chunk.run.as_of, run=chunk.run)
        finish_chunk(chunk, tally, now=now)
    add_up_run(chunk.run_id, now=now)
    return tally


def claim_chunk(chunk_id: int) -> RunChunk | None:
    """Lock a chunk until the transaction ends. `None` if another worker holds it or it is finished.

    The workers already keep every processor busy, so the chunk's queries don't use parallel database workers.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    return claim(RunChunk.objects.filter(pk=chunk_id).select_related("run"))


def finish_chunk(chunk: RunChunk, tally: Tally, *, now: datetime) -> None:
    """Save a chunk's totals and each of its problems."""
    chunk.done, chunk.invoices_made, chunk.failed = tally.done, tally.invoices, tally.failed
    chunk.amounts = {currency: wording.plain(amount) for currency, amount in tally.amounts.items()}
    chunk.finished_at = now
    chunk.save()
    currencies = dict(Subscription.objects.filter(pk__in=tally.problems).values_list("pk", "currency"))
    copy_in(
        [
            RunFinding(run=chunk.run, subscription_id=pk, currency=currencies[pk], problem=problem)
            for pk, problem in sorted(tally.problems.items())
        ]
    )


def run_to_end(*, as_of: datetime, kind: RunKind = RunKind.MANUAL, by: User | None = None) -> BillingRun | None:
    """Start a run and bill all its chunks in this process. `None` if nothing is due."""
    run = start_run(as_of=as_of, now=as_of, kind=kind, by=by)
    if run is not None:
        for chunk_id in unfinished_chunks(run):
            bill_chunk(chunk_id, now=as_of)
        run.refresh_from_db()
    return run


def add_up_run(run_id: int, *, now: datetime) -> None:
    """Update a run's totals from its chunks, and finish it once they all are finished. Safe to repeat."""
    with transaction.atomic():
        run = BillingRun.objects.select_for_update().get(pk=run_id)
        if run.state == RunState.FINISHED:
            return
        with connection.cursor() as cursor:
            cursor.execute(ADD_UP_CHUNKS, [run.pk])
            run.done, run.invoices_made, run.failed, unfinished = cursor.fetchone()
            cursor.execute(ADD_UP_AMOUNTS, [run.pk])
            run.amounts = {currency: wording.plain(amount) for currency, amount in cursor}
        if not unfinished:
            run.state, run.finished_at = RunState.FINISHED, now
        run.save()


def bill_subscriptions(
    subscription_ids: Sequence[int], *, as_of: datetime, run: BillingRun | None = None, retrying: bool = False
) -> Tally:
    """Draft every invoice that the subscriptions owe by `as_of`, missed periods in order. Safe to repeat.

    Subscriptions that another worker has locked are skipped, as are parked ones whose retry isn't due, unless
    `retrying`. A subscription that can't be billed is parked with the reason. A run closes usage when it starts, and
    usage that isn't closed by then waits for the next run; without a run, usage is closed here.
    """
    if run is None:
        close_due(as_of, subscription_ids)
    tally = Tally()
    for part in isolate(
        subscription_ids,
        lambda ids: _bill_batch(ids, as_of=as_of, run=run, retrying=retrying),
        lambda subscription_id, error: park_unexpected(subscription_id, error, as_of),
    ):
        tally.add(part)
    return tally


def park_unexpected(subscription_id: int, error: Exception, as_of: datetime) -> Tally:
    """Park a subscription that failed for an unexpected reason."""
    logger.error("Subscription %s can't be billed", subscription_id, exc_info=error)
    with transaction.atomic():
        state = BillingState.objects.select_for_update().get(pk=subscription_id)
        park(state, unexpected_error(error), now=as_of)
        save_states([state])
    return Tally(done=1, problems={subscription_id: state.parked_reason})


def _bill_batch(ids: Sequence[int], *, as_of: datetime, run: BillingRun | None, retrying: bool) -> Tally:
    due_states = BillingState.objects.filter(due_at__lte=as_of) if retrying else due(as_of)
    states = list(due_states.filter(pk__among=ids).select_for_update(skip_locked=True, of=("self",)).order_by("pk"))
    subscriptions = load_subscriptions([state.pk for state in states])
    attach_conditions(subscriptions.values(), lock=True)
    batch = [Progress(state, subscriptions[state.pk]) for state in states]
    for progress in batch:
        reopen_billing(progress.subscription)
    compute_due(batch, as_of, marks_of([progress.subscription.customer_id for progress in batch]))
    return save_batch(batch, as_of, run)


def compute_due(
    batch: Sequence[Progress],
    as_of: datetime,
    closed_until: Mapping[int, datetime] | None = None,
    *,
    kinds: Collection[InvoiceKind] = tuple(InvoiceKind),
) -> None:
    """Calculate the batch in rounds: the first due invoice of every subscription, then the next, until none is due.

    `closed_until` is when each customer's usage is closed: usage that arrives later is late usage. `None` is for a dry
    run, which closes nothing and takes all usage into account. An invoice of another kind than `kinds` isn't made, nor
    any after it.
    """
    continuing = list(batch)
    while True:
        next_invoices = [(progress, next_invoice(progress.subscription)) for progress in continuing]
        requests = [
            (progress, InvoiceRequest(progress.subscription, invoice, now=as_of))
            for progress, invoice in next_invoices
            if invoice is not None and invoice.kind in kinds and _may_bill(progress, invoice, as_of, closed_until)
        ]
        if not requests:
            return
        invoices = compute_invoices([request for _, request in requests])
        for (progress, _), invoice in zip(requests, invoices, strict=True):
            _collect(progress, invoice)
        continuing = [progress for progress, _ in requests if not progress.problem]


def _may_bill(
    progress: Progress, invoice: NextInvoice, as_of: datetime, closed_until: Mapping[int, datetime] | None
) -> bool:
    has_usage = invoice.kind not in IN_ADVANCE_KINDS and invoice.period.start < invoice.period.end
    if closed_until is None or not has_usage:
        return invoice.due_at <= as_of
    closed = closed_until.get(progress.subscription.customer_id)
    return invoice.due_at <= as_of and closed is not None and invoice.period.end <= closed


def _collect(progress: Progress, computed: ComputedInvoice) -> None:
    if computed.problem:
        progress.problem = computed.problem
        return
    subscription, invoice = progress.subscription, computed.request.invoice
    # An invoice that exists although the billing state doesn't show it (its row was lost) is not made again.
    if computed.is_needed and not is_issued(subscription, invoice):
        progress.computed.append(computed)
        record_on_subscription(computed)
    mark_invoiced(subscription, invoice)


def save_batch(batch: Sequence[Progress], as_of: datetime, run: BillingRun | None = None) -> Tally:
    """Save a batch's invoices and billing progress, and park the subscriptions that have a problem."""
    computed = [invoice for progress in batch for invoice in progress.computed]
    invoices = issue_invoices(computed, now=as_of, run=run)
    for progress in batch:
        advance(progress.state, progress.subscription)
        if progress.problem:
            park(progress.state, progress.problem, now=as_of)
        else:
            unpark(progress.state)
    save_states([progress.state for progress in batch])
    problems = {progress.state.pk: progress.problem for progress in batch if progress.problem}
    tally = Tally(len(batch), problems=problems)
    tally.count((invoice.currency, invoice.total) for invoice in invoices)
    return tally


def dry_run(subscription_ids: Sequence[int], *, as_of: datetime) -> dict[int, ExpectedInvoices]:
    """Calculate every invoice that the subscriptions owe by `as_of`, as billing them would. Read-only, no locks."""
    expected: dict[int, ExpectedInvoices] = {}
    for part in isolate(subscription_ids, lambda ids: _dry_run_batch(ids, as_of=as_of), _expect_failure):
        expected |= part
    return expected


def _expect_failure(subscription_id: int, error: Exception) -> dict[int, ExpectedInvoices]:
    logger.error("Subscription %s couldn't be billed", subscription_id, exc_info=error)
    return {subscription_id: ExpectedInvoices(problem=unexpected_error(error))}


def _dry_run_batch(ids: Sequence[int], *, as_of: datetime) -> dict[int, ExpectedInvoices]:
    subscriptions = load_subscriptions(ids)
    attach_conditions(subscriptions.values())
    batch = [Progress(BillingState(subscription_id=pk), subscriptions[pk]) for pk in sorted(subscriptions)]
    for progress in batch:
        reopen_billing(progress.subscription)
    compute_due(batch, as_of)
    return {progress.state.pk: ExpectedInvoices(progress.computed, progress.problem) for progress in batch}
