"""Dry runs: what a billing run would do by some moment, worked out by the same code, with nothing written but the run.

A dry run takes no lock and closes nothing, so it can go on beside a real one, of which it then sees what is committed.
It looks at parked subscriptions too, as if it were time to try them again.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.models import BillingRun, Invoice, InvoiceKind, InvoiceState, RunFinding, RunKind, RunState
from billing.runs.billing_run import (
    ExpectedInvoices,
    Tally,
    add_up_run,
    claim_chunk,
    cut_into_chunks,
    dry_run,
    finish_chunk,
)
from config.db.bulk_insert import copy_in
from config.refusals import Refused
from customers.models import PhaseKind, Subscription, SubscriptionPhase

FARTHEST = timedelta(days=366)
SETTLING = (InvoiceKind.CYCLE, InvoiceKind.FINAL)  # of these a period has one, to be compared with the one before


class TooFarAhead(Refused):
    """Nobody's invoices are worked out so far ahead."""


def start_dry_run(*, as_of: datetime, now: datetime, by: User | None = None) -> BillingRun:
    """Begin to work out all that will be due by `as_of`, at most a year ahead. Finished at once when nothing is.

    Raises `TooFarAhead`.
    """
    if as_of > now + FARTHEST:
        raise TooFarAhead("A dry run looks at most a year ahead.")
    chosen = may_be_due(as_of)
    with transaction.atomic():
        run = BillingRun.objects.create(
            kind=RunKind.DRY, as_of=as_of, started_at=now, started_by=by, subscriptions=chosen.count()
        )
        cut_into_chunks(run, chosen.values("pk"))
    if not run.subscriptions:
        add_up_run(run.pk, now=now)
        run.refresh_from_db()
    return run


def unfinished_dry_runs() -> QuerySet[BillingRun]:
    """Keep dry runs that still have something to work out."""
    return BillingRun.objects.filter(kind=RunKind.DRY, state=RunState.RUNNING)


def may_be_due(as_of: datetime) -> QuerySet[Subscription]:
    """Keep subscriptions that may owe an invoice by the moment, by their standing and by what changed since.

    Some of them won't: that only costs a look. It says what `refresh_states` would write.
    """
    opening = SubscriptionPhase.objects.filter(
        subscription=OuterRef("pk"), superseded_at=None, kind=PhaseKind.ACTIVE, starts_at__lte=as_of
    )
    is_new = Q(billing=None, started_at__lte=as_of)
    has_other_end = ~Q(billing__closed_at=F("ended_at")) & Q(billing__closed_at__isnull=False) | Q(
        ended_at__lte=as_of, billing__isnull=False, billing__closed_at=None
    )
    opens = Q(billing__opened=False) & Exists(opening)
    return Subscription.objects.filter(is_new | Q(billing__due_at__lte=as_of) | has_other_end | opens)


def foresee_due(*, now: datetime, at_most: int) -> tuple[int, dict[int, ExpectedInvoices] | None]:
    """Work out what a run would do now, without those that wait for another try, and count them.

    Of more than `at_most` only the number is told, and some of them may not be due after all.
    """
    waiting = Q(billing__parked_at__isnull=False) & (Q(billing__retry_at=None) | Q(billing__retry_at__gt=now))
    chosen = may_be_due(now).exclude(pk__in=Subscription.objects.filter(waiting))
    count = chosen.count()
    if count > at_most:
        return count, None
    found = dry_run(list(chosen.order_by("pk").values_list("pk", flat=True)), as_of=now) if count else {}
    due = {pk: each for pk, each in found.items() if each.computed or each.problem}
    return len(due), due


def dry_run_chunk(chunk_id: int, *, now: datetime) -> Tally | None:
    """Work out a chunk of a dry run, all or nothing. `None`: another worker has it, or it is finished already."""
    with transaction.atomic():
        chunk = claim_chunk(chunk_id)
        if chunk is None:
            return None
        span = may_be_due(chunk.run.as_of).filter(pk__gte=chunk.first_id, pk__lte=chunk.last_id)
        found = dry_run(list(span.order_by("pk").values_list("pk", flat=True)), as_of=chunk.run.as_of)
        copy_in(findings(chunk.run, found))
        tally = tally_of(found)
        finish_chunk(chunk, tally, now=now)
    add_up_run(chunk.run_id, now=now)
    return tally


def tally_of(found: Mapping[int, ExpectedInvoices]) -> Tally:
    """Count what was found as a run counts what it did."""
    tally = Tally(len(found), problems={pk: each.problem for pk, each in found.items() if each.problem})
    tally.count(
        (computed.work.subscription.currency, computed.total) for each in found.values() for computed in each.computed
    )
    return tally


def findings(run: BillingRun, found: Mapping[int, ExpectedInvoices]) -> list[RunFinding]:
    """Make the unsaved rows of the invoices that were worked out, each compared with the one before it."""
    before = latest_totals(found)
    rows = []
    for subscription_id, foreseen in found.items():
        for computed in foreseen.computed:
            step, total = computed.work.step, computed.total
            previous = before.get(subscription_id) if step.kind in SETTLING else None
            rows.append(
                RunFinding(
                    run=run,
                    subscription_id=subscription_id,
                    kind=step.kind,
                    period_start=step.period.start,
                    period_end=step.period.end,
                    currency=computed.work.subscription.currency,
                    lines=len(computed.lines),
                    total=total,
                    change=None if previous is None else total - previous,
                )
            )
            if step.kind in SETTLING:
                before[subscription_id] = total
    return rows


def latest_totals(subscription_ids: Collection[int]) -> dict[int, Decimal]:
    """Read what each subscription's latest period came to on its invoice. One query."""
    latest = latest_settled(Invoice.objects.filter(subscription_id__in=subscription_ids))
    rows: Iterable[tuple[int | None, Decimal]] = latest.values_list("subscription_id", "total")
    return {subscription_id: total for subscription_id, total in rows if subscription_id is not None}


def latest_settled(invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """Keep the invoice of each subscription's latest period, if it isn't void."""
    settled = invoices.filter(kind__in=SETTLING).exclude(state=InvoiceState.VOID)
    return settled.order_by("subscription_id", "-period_end", "-pk").distinct("subscription_id")
