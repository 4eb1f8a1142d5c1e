"""Billing runs: one pass over all subscriptions that are due, in chunks that workers take one by one.

A chunk is one transaction: its invoices, the billing progress of its subscriptions and its own end are written
together. A worker that dies halfway leaves the chunk as it was, and another worker takes it. Of two workers on one
chunk, the second finds it locked and leaves. A second run continues the first while that is running.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet

from billing import wording
from billing.charges.next_invoice import OPENING, NextInvoice, is_issued, mark_invoiced, next_invoice, reopen
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices, record_on_subscription
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.issue import issue_many
from billing.invoicing.subscriptions import load_subscriptions
from billing.isolation import _halves, unexpected_error
from billing.models import BillingRun, BillingState, RunChunk, RunFinding, RunKind, RunState
from billing.money import ZERO
from billing.runs.billing_states import advance, close_due, due, park, refresh_states, save_states, unpark
from config.db.bulk_insert import copy_in
from customers.models import Subscription
from events.ledger.closing import marks_of

logger = logging.getLogger(__name__)


CHUNK_SIZE = 1_000  # subscriptions a transaction; larger ones save little and hold more in memory


CUT_INTO_CHUNKS = """
    INSERT INTO billing_runchunk (run_id, first_id, last_id, done, invoices_made, failed, amounts)
    SELECT %s, min(id), max(id), 0, 0, 0, '{{}}'
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS part FROM ({ids}) AS due (id)) AS numbered
    GROUP BY part
"""


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
class Tally:
    """What came of some subscriptions: how many were looked at, invoiced, with the money by currency, and parked.

    `problems` are the reasons of those parked, by subscription.
    """

    done: int = 0
    invoices: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    problems: dict[int, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return len(self.problems)

    def count(self, totals: Iterable[tuple[str, Decimal]]) -> None:
        """Count invoices, by their currencies and totals."""
        for currency, total in totals:
            self.invoices += 1
            self.amounts[currency] += total

    def add(self, other: "Tally") -> None:
        self.done += other.done
        self.invoices += other.invoices
        self.problems |= other.problems
        for currency, amount in other.amounts.items():
            self.amounts[currency] += amount


@dataclass(slots=True)
class ExpectedInvoices:
    """What billing a subscription would come to: its invoices, and why it would be parked after them."""

    computed: list[ComputedInvoice] = field(default_factory=list)
    problem: str = ""


@dataclass(slots=True)
class _Progress:
    """One subscription on its way through a batch: what is worked out for it so far, and why it stopped."""

    state: BillingState
    subscription: BilledSubscription
    computed: list[ComputedInvoice] = field(default_factory=list)
    problem: str = ""
    step: NextInvoice | None = None


def start_run(
    *, as_of: datetime, now: datetime, kind: RunKind = RunKind.SCHEDULED, by: User | None = None
) -> BillingRun | None:
    """Begin a run over all that is due by `as_of`, or return the one that is running, to be taken up again.

    Returns `None`, and writes nothing, when nothing is due.
    """
    refresh_states()
    close_due(as_of)
    with transaction.atomic(), connection.cursor() as cursor:
        # Whoever comes second waits here, and then finds the first one's run.
        cursor.execute("LOCK TABLE billing_billingrun IN SHARE ROW EXCLUSIVE MODE")
        running = BillingRun.objects.filter(state=RunState.RUNNING).exclude(kind=RunKind.DRY).first()
        if running is not None:
            return running
        waiting = due(as_of)
        count = waiting.count()
        if not count:
            return None
        run = BillingRun.objects.create(kind=kind, as_of=as_of, started_at=now, subscriptions=count, started_by=by)
        cut_into_chunks(run, waiting.values("subscription_id"))
    return run


def cut_into_chunks(run: BillingRun, subscription_ids: QuerySet[Any, Any]) -> None:
    """Cut what a run looks at, a query for ids of subscriptions, into chunks."""
    query, parameters = subscription_ids.order_by().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(CUT_INTO_CHUNKS.format(ids=query), [run.pk, CHUNK_SIZE, *parameters])


def unfinished_chunks(run: BillingRun) -> list[int]:
    """List the chunks that no worker has finished yet."""
    return list(run.chunks.filter(finished_at=None).values_list("pk", flat=True))


def bill_chunk(chunk_id: int, *, now: datetime) -> Tally | None:
    """Bill a chunk's subscriptions, all or nothing. `None`: another worker has it, or it is finished already."""
    with transaction.atomic():
        chunk = claim_chunk(chunk_id)
        if chunk is None:
            return None
        ids = due(chunk.run.as_of).filter(pk__gte=chunk.first_id, pk__lte=chunk.last_id).values_list("pk", flat=True)
        tally = bill_subscriptions(list(ids), as_of=chunk.run.as_of, run=chunk.run)
        finish_chunk(chunk, tally, now=now)
    add_up_run(chunk.run_id, now=now)
    return tally


def claim_chunk(chunk_id: int) -> RunChunk | None:
    """Lock a chunk, within a transaction. `None` if it is finished, or another worker has it.

    As many workers as there are processors are at it, so the database isn't to share a chunk's queries out once more.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    chunks = RunChunk.objects.select_for_update(skip_locked=True, of=("self",)).select_related("run")
    return chunks.filter(pk=chunk_id, finished_at=None).first()


def finish_chunk(chunk: RunChunk, tally: Tally, *, now: datetime) -> None:
    """Write down what came of a chunk, and each problem."""
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
    """Run and bill every chunk here and now, as a worker would. `None` when nothing is due."""
    run = start_run(as_of=as_of, now=as_of, kind=kind, by=by)
    if run is not None:
        for chunk_id in unfinished_chunks(run):
            bill_chunk(chunk_id, now=as_of)
        run.refresh_from_db()
    return run


def add_up_run(run_id: int, *, now: datetime) -> None:
    """Bring a run's figures up to date from its chunks; it is finished when they are. Safe to repeat."""
    with transaction.atomic():
        run = BillingRun.objects.select_for_update().get(pk=run_id)
        if run.state == RunState.FINISHED:
            return
        done, made, failed, unfinished, amounts = _added_up(run)
        run.done, run.invoices_made, run.failed, run.amounts = done, made, failed, amounts
        if not unfinished:
            run.state, run.finished_at = RunState.FINISHED, now
        run.save()


def _added_up(run: BillingRun) -> tuple[int, int, int, int, dict[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(ADD_UP_CHUNKS, [run.pk])
        done, made, failed, unfinished = cursor.fetchone()
        cursor.execute(ADD_UP_AMOUNTS, [run.pk])
        return done, made, failed, unfinished, {currency: wording.plain(amount) for currency, amount in cursor}


def bill_subscriptions(
    subscription_ids: Sequence[int], *, as_of: datetime, run: BillingRun | None = None, retrying: bool = False
) -> Tally:
    """Issue every invoice that the subscriptions owe by `as_of`, missed periods in order. Safe to repeat.

    Subscriptions that somebody else is billing are passed over, as are parked ones whose retry isn't due, unless
    `retrying`. What can't be billed is parked with its reason. A run closes usage when it starts, and what isn't closed
    then waits for the next; without a run it is closed here.
    """
    if run is None:
        close_due(as_of, subscription_ids)
    try:
        with transaction.atomic():
            return _bill_batch(subscription_ids, as_of=as_of, run=run, retrying=retrying)
    except (OperationalError, InterfaceError):
        raise  # the database is away: nobody's fault, the whole chunk is done again
    except Exception as error:
        if not subscription_ids:
            raise  # none of them can be at fault
        if len(subscription_ids) > 1:
            return _in_halves(subscription_ids, as_of=as_of, run=run, retrying=retrying)
        logger.exception("Subscription %s can't be billed", subscription_ids[0])
        return _park_unexpected(subscription_ids[0], error, as_of)


def _in_halves(ids: Sequence[int], *, as_of: datetime, run: BillingRun | None, retrying: bool) -> Tally:
    """Bill what failed together in two parts, and these so again, until the one that fails is alone."""
    tally = Tally()
    for part in _halves(ids):
        tally.add(bill_subscriptions(part, as_of=as_of, run=run, retrying=retrying))
    return tally


def _park_unexpected(subscription_id: int, error: Exception, as_of: datetime) -> Tally:
    state = BillingState.objects.select_for_update().get(pk=subscription_id)
    park(state, unexpected_error(error), now=as_of)
    save_states([state])
    return Tally(done=1, problems={subscription_id: state.parked_reason})


def _bill_batch(ids: Sequence[int], *, as_of: datetime, run: BillingRun | None, retrying: bool) -> Tally:
    waiting = BillingState.objects.filter(due_at__lte=as_of) if retrying else due(as_of)
    states = list(waiting.filter(pk__among=ids).select_for_update(skip_locked=True, of=("self",)).order_by("pk"))
    subscriptions = load_subscriptions([state.pk for state in states])
    attach_conditions(subscriptions.values(), lock=True)
    batch = [_Progress(state, subscriptions[state.pk]) for state in states]
    for progress in batch:
        reopen(progress.subscription)
    _compute_due(batch, as_of, marks_of([progress.subscription.customer_id for progress in batch]))
    return _write(batch, as_of, run)


def _compute_due(batch: Sequence[_Progress], as_of: datetime, marks: Mapping[int, datetime] | None = None) -> None:
    """Go through the batch in rounds: everyone's first invoice that is due, then the next, until none is.

    `marks` say up to when usage is closed, by customer: what counts before one from here on is found later. Without
    them nothing is written, and all is looked at.
    """
    going = list(batch)
    while True:
        for progress in going:
            progress.step = next_invoice(progress.subscription)
        going = [each for each in going if each.step is not None and _may_bill(each, each.step, as_of, marks)]
        if not going:
            return
        works = [InvoiceRequest(each.subscription, each.step) for each in going if each.step is not None]
        for progress, computed in zip(going, compute_invoices(works), strict=True):
            _collect(progress, computed)
        going = [progress for progress in going if not progress.problem]


def _may_bill(progress: _Progress, step: NextInvoice, as_of: datetime, marks: Mapping[int, datetime] | None) -> bool:
    has_usage = step.kind != OPENING and step.period.start < step.period.end
    if marks is None or not has_usage:
        return step.due_at <= as_of
    mark = marks.get(progress.subscription.customer_id)
    return step.due_at <= as_of and mark is not None and step.period.end <= mark


def _collect(progress: _Progress, computed: ComputedInvoice) -> None:
    if computed.problem:
        progress.problem = computed.problem
        return
    subscription, step = progress.subscription, computed.work.step
    # An invoice that is there although the state doesn't know of it (the state's row was lost) is not made again.
    if computed.lines and not is_issued(subscription, step):
        progress.computed.append(computed)
        record_on_subscription(computed)
    mark_invoiced(subscription, step)


def _write(batch: Sequence[_Progress], as_of: datetime, run: BillingRun | None) -> Tally:
    computed = [each for progress in batch for each in progress.computed]
    invoices = issue_many(computed, now=as_of, run=run)
    for progress in batch:
        advance(progress.state, progress.subscription)
        if progress.problem:
            park(progress.state, progress.problem, now=as_of)
        else:
            unpark(progress.state)
    save_states([progress.state for progress in batch])
    tally = Tally(len(batch), problems={each.state.pk: each.problem for each in batch if each.problem})
    tally.count((invoice.currency, invoice.total) for invoice in invoices)
    return tally


def dry_run(subscription_ids: Sequence[int], *, as_of: datetime) -> dict[int, ExpectedInvoices]:
    """Work out every invoice that the subscriptions owe by `as_of`, as billing them would. Writes and locks nothing."""
    try:
        with transaction.atomic():
            return _dry_run_batch(subscription_ids, as_of=as_of)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if not subscription_ids:
            raise
        if len(subscription_ids) == 1:
            logger.exception("Subscription %s couldn't be billed", subscription_ids[0])
            return {subscription_ids[0]: ExpectedInvoices(problem=unexpected_error(error))}
    found: dict[int, ExpectedInvoices] = {}
    for part in _halves(subscription_ids):
        found |= dry_run(part, as_of=as_of)
    return found


def _dry_run_batch(ids: Sequence[int], *, as_of: datetime) -> dict[int, ExpectedInvoices]:
    subscriptions = load_subscriptions(ids)
    attach_conditions(subscriptions.values())
    batch = [_Progress(BillingState(subscription_id=pk), subscriptions[pk]) for pk in sorted(subscriptions)]
    for progress in batch:
        reopen(progress.subscription)
    _compute_due(batch, as_of)
    return {progress.state.pk: ExpectedInvoices(progress.computed, progress.problem) for progress in batch}
