"""Billing runs: one pass over all subscriptions that are due, in chunks that workers take one by one.

A chunk is one transaction: its invoices, the standing of its subscriptions and its own end are written together, so a
worker that dies in the middle leaves the chunk as it was, to be taken up again. Two workers on one chunk: the second
finds it locked and leaves. Two runs: the second is the first, taken up.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, transaction

from billing import wording
from billing.accounts import Account
from billing.invoicing import Computed, Work, compute_many, issue_many, remember
from billing.loading import load_accounts
from billing.models import BillingRun, BillingState, Invoice, RunChunk, RunKind, RunState
from billing.money import ZERO
from billing.states import advance, due, park, refresh_states, save_states, unpark
from billing.steps import Step, next_step, reopen, take

logger = logging.getLogger(__name__)
CHUNK_SIZE = 250

CUT_INTO_CHUNKS = """
    INSERT INTO billing_runchunk (run_id, first_id, last_id, done, invoices_made, failed, amounts)
    SELECT %s, min(id), max(id), 0, 0, 0, '{{}}'
    FROM (SELECT subscription_id AS id, (row_number() OVER (ORDER BY subscription_id) - 1) / %s AS part
          FROM ({due}) AS due) AS numbered
    GROUP BY part
"""


@dataclass(slots=True)
class Tally:
    """What came of some subscriptions: how many were looked at, invoiced, parked, and the money by currency."""

    done: int = 0
    invoices: int = 0
    failed: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))

    def count(self, invoices: Iterable[Invoice]) -> None:
        for invoice in invoices:
            self.invoices += 1
            self.amounts[invoice.currency] += invoice.total

    def add(self, other: "Tally") -> None:
        self.done += other.done
        self.invoices += other.invoices
        self.failed += other.failed
        for currency, amount in other.amounts.items():
            self.amounts[currency] += amount


@dataclass(slots=True)
class _Progress:
    """One subscription on its way through a batch: what is worked out for it so far, and why it stopped."""

    state: BillingState
    account: Account
    computed: list[Computed] = field(default_factory=list)
    problem: str = ""
    step: Step | None = None


def start_run(
    *, as_of: datetime, now: datetime, kind: RunKind = RunKind.SCHEDULED, by: User | None = None
) -> BillingRun | None:
    """Begin a run over all that is due by `as_of`, or return the one that is running, to be taken up again.

    Returns `None`, and writes nothing, when nothing is due.
    """
    refresh_states()
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
        query, parameters = waiting.values("subscription_id").query.sql_with_params()
        cursor.execute(CUT_INTO_CHUNKS.format(due=query), [run.pk, CHUNK_SIZE, *parameters])
    return run


def unfinished_chunks(run: BillingRun) -> list[int]:
    """List the chunks that no worker has finished yet."""
    return list(run.chunks.filter(finished_at=None).values_list("pk", flat=True))


def bill_chunk(chunk_id: int, *, now: datetime) -> Tally | None:
    """Bill a chunk's subscriptions, all or nothing. `None`: another worker has it, or it is finished already."""
    with transaction.atomic():
        chunk = (
            RunChunk.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("run")
            .filter(pk=chunk_id, finished_at=None)
            .first()
        )
        if chunk is None:
            return None
        ids = due(chunk.run.as_of).filter(pk__gte=chunk.first_id, pk__lte=chunk.last_id).values_list("pk", flat=True)
        tally = bill_subscriptions(list(ids), as_of=chunk.run.as_of, run=chunk.run)
        chunk.done, chunk.invoices_made, chunk.failed = tally.done, tally.invoices, tally.failed
        chunk.amounts = {currency: wording.plain(amount) for currency, amount in tally.amounts.items()}
        chunk.finished_at = now
        chunk.save()
    add_up_run(chunk.run_id, now=now)
    return tally


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
        chunks = list(run.chunks.all())
        run.done = sum(chunk.done for chunk in chunks)
        run.invoices_made = sum(chunk.invoices_made for chunk in chunks)
        run.failed = sum(chunk.failed for chunk in chunks)
        totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for chunk in chunks:
            for currency, amount in chunk.amounts.items():
                totals[currency] += Decimal(amount)
        run.amounts = {currency: wording.plain(amount) for currency, amount in sorted(totals.items())}
        if all(chunk.finished_at for chunk in chunks):
            run.state, run.finished_at = RunState.FINISHED, now
        run.save()


def bill_subscriptions(
    subscription_ids: Sequence[int], *, as_of: datetime, run: BillingRun | None = None, retrying: bool = False
) -> Tally:
    """Issue every invoice that the subscriptions owe by `as_of`, missed periods in order. Safe to repeat.

    Subscriptions that somebody else is billing are passed over, as are parked ones whose retry isn't due, unless
    `retrying`. What can't be billed is parked with its reason.
    """
    try:
        with transaction.atomic():
            return _bill_batch(subscription_ids, as_of=as_of, run=run, retrying=retrying)
    except (OperationalError, InterfaceError):
        raise  # the database is away: nobody's fault, the whole chunk is done again
    except Exception as error:
        if len(subscription_ids) != 1:
            return _one_by_one(subscription_ids, as_of=as_of, run=run, retrying=retrying)
        logger.exception("Subscription %s can't be billed", subscription_ids[0])
        return _park_unforeseen(subscription_ids[0], error, as_of)


def _one_by_one(ids: Sequence[int], *, as_of: datetime, run: BillingRun | None, retrying: bool) -> Tally:
    tally = Tally()
    for subscription_id in ids:
        tally.add(bill_subscriptions([subscription_id], as_of=as_of, run=run, retrying=retrying))
    return tally


def _park_unforeseen(subscription_id: int, error: Exception, as_of: datetime) -> Tally:
    state = BillingState.objects.select_for_update().get(pk=subscription_id)
    park(state, f"Unexpected error, {type(error).__name__}: {error}"[:2_000], now=as_of)
    save_states([state])
    return Tally(done=1, failed=1)


def _bill_batch(ids: Sequence[int], *, as_of: datetime, run: BillingRun | None, retrying: bool) -> Tally:
    waiting = BillingState.objects.filter(due_at__lte=as_of) if retrying else due(as_of)
    states = list(waiting.filter(pk__in=ids).select_for_update(skip_locked=True, of=("self",)).order_by("pk"))
    accounts = load_accounts([state.pk for state in states])
    batch = [_Progress(state, accounts[state.pk]) for state in states]
    for progress in batch:
        reopen(progress.account)
    _work_out(batch, as_of)
    return _write(batch, as_of, run)


def _work_out(batch: Sequence[_Progress], as_of: datetime) -> None:
    """Go through the batch in rounds: everyone's first invoice that is due, then the next, until none is."""
    going = list(batch)
    while True:
        for progress in going:
            progress.step = next_step(progress.account)
        going = [each for each in going if each.step is not None and each.step.due_at <= as_of]
        if not going:
            return
        works = [Work(each.account, each.step) for each in going if each.step is not None]
        for progress, computed in zip(going, compute_many(works), strict=True):
            _take_over(progress, computed)
        going = [progress for progress in going if not progress.problem]


def _take_over(progress: _Progress, computed: Computed) -> None:
    if computed.problem:
        progress.problem = computed.problem
        return
    account, step = progress.account, computed.work.step
    # An invoice that is there although the state doesn't know of it (the state's row was lost) is not made again.
    if computed.lines and (step.kind, step.period.start) not in account.issued:
        progress.computed.append(computed)
        remember(account, computed.lines)
    take(account, step)


def _write(batch: Sequence[_Progress], as_of: datetime, run: BillingRun | None) -> Tally:
    computed = [each for progress in batch for each in progress.computed]
    invoices = issue_many(computed, now=as_of, run=run)
    for progress in batch:
        advance(progress.state, progress.account)
        if progress.problem:
            park(progress.state, progress.problem, now=as_of)
        else:
            unpark(progress.state)
    save_states([progress.state for progress in batch])
    tally = Tally(done=len(batch), failed=sum(bool(progress.problem) for progress in batch))
    tally.count(invoices)
    return tally
