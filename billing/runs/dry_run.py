"""Dry runs: the invoices that a billing run would make, calculated by the same code. Only the dry run is saved.

A dry run takes no locks and closes no usage, so it can run beside a billing run, of which it sees committed invoices.
It includes parked subscriptions as if their retry were due.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.models import BillingRun, Invoice, InvoiceKind, InvoiceState, RunFinding, RunKind, RunState
from billing.runs.billing_run import (
    add_up_run,
    claim_chunk,
    cut_into_chunks,
    dry_run,
    finish_chunk,
)
from billing.runs.tally import ExpectedInvoices, Tally
from config.db.bulk_insert import copy_in
from config.refusals import Refused
from customers.models import PhaseKind, Subscription, SubscriptionPhase

FARTHEST = timedelta(days=366)
COMPARED = (InvoiceKind.CYCLE, InvoiceKind.FINAL)  # each period has one of these, compared with the period before


class TooFarAhead(Refused):
    """A dry run can't look that far ahead."""


def start_dry_run(*, as_of: datetime, now: datetime, by: User | None = None) -> BillingRun:
    """Start a dry run of all that will be due by `as_of`, at most a year ahead. It is finished if nothing is due.

    Raises `TooFarAhead`.
    """
    if as_of > now + FARTHEST:
        raise TooFarAhead("A dry run can look at most a year ahead.")
    subscriptions = may_be_due(as_of)
    with transaction.atomic():
        run = BillingRun.objects.create(
            kind=RunKind.DRY, as_of=as_of, started_at=now, started_by=by, subscriptions=subscriptions.count()
        )
        cut_into_chunks(run, subscriptions.values("pk"))
    if not run.subscriptions:
        add_up_run(run.pk, now=now)
        run.refresh_from_db()
    return run


def unfinished_dry_runs() -> QuerySet[BillingRun]:
    """Filter to dry runs that aren't finished."""
    return BillingRun.objects.filter(kind=RunKind.DRY, state=RunState.RUNNING)


def may_be_due(as_of: datetime) -> QuerySet[Subscription]:
    """Filter to subscriptions that may owe an invoice by the moment, by their billing state and changes since.

    For some of them nothing will be due. It finds the changes that `refresh_states` would save.
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


def expected_now(*, now: datetime, at_most: int) -> tuple[int, dict[int, ExpectedInvoices] | None]:
    """Calculate what a run would do now, except for parked subscriptions whose retry isn't due, and count them.

    For more than `at_most` subscriptions, return only their number, which may include some that aren't due.
    """
    parked = Q(billing__parked_at__isnull=False) & (Q(billing__retry_at=None) | Q(billing__retry_at__gt=now))
    subscriptions = may_be_due(now).exclude(pk__in=Subscription.objects.filter(parked))
    count = subscriptions.count()
    if count > at_most:
        return count, None
    ids = list(subscriptions.order_by("pk").values_list("pk", flat=True)) if count else []
    by_subscription = dry_run(ids, as_of=now) if ids else {}
    due = {pk: expected for pk, expected in by_subscription.items() if expected.computed or expected.problem}
    return len(due), due


def dry_run_chunk(chunk_id: int, *, now: datetime) -> Tally | None:
    """Calculate a chunk of a dry run, all or nothing. `None` if another worker holds the chunk or it is finished."""
    with transaction.atomic():
        chunk = claim_chunk(chunk_id)
        if chunk is None:
            return None
        subscriptions = may_be_due(chunk.run.as_of).filter(pk__gte=chunk.first_id, pk__lte=chunk.last_id)
        expected = dry_run(list(subscriptions.order_by("pk").values_list("pk", flat=True)), as_of=chunk.run.as_of)
        copy_in(findings(chunk.run, expected))
        tally = tally_of(expected)
        finish_chunk(chunk, tally, now=now)
    add_up_run(chunk.run_id, now=now)
    return tally


def tally_of(by_subscription: Mapping[int, ExpectedInvoices]) -> Tally:
    """Count expected invoices and problems, as a run counts real ones."""
    problems = {pk: expected.problem for pk, expected in by_subscription.items() if expected.problem}
    tally = Tally(len(by_subscription), problems=problems)
    tally.count(
        (computed.request.subscription.currency, computed.total)
        for expected in by_subscription.values()
        for computed in expected.computed
    )
    return tally


def findings(run: BillingRun, by_subscription: Mapping[int, ExpectedInvoices]) -> list[RunFinding]:
    """Build the unsaved rows of expected invoices, each compared with the invoice of the period before."""
    totals = latest_totals(by_subscription)
    rows = []
    for subscription_id, expected in by_subscription.items():
        for computed in expected.computed:
            invoice, total = computed.request.invoice, computed.total
            previous = totals.get(subscription_id) if invoice.kind in COMPARED else None
            rows.append(
                RunFinding(
                    run=run,
                    subscription_id=subscription_id,
                    kind=invoice.kind,
                    period_start=invoice.period.start,
                    period_end=invoice.period.end,
                    currency=computed.request.subscription.currency,
                    lines=len(computed.lines),
                    total=total,
                    change=None if previous is None else total - previous,
                )
            )
            if invoice.kind in COMPARED:
                totals[subscription_id] = total
    return rows


def latest_totals(subscription_ids: Collection[int]) -> dict[int, Decimal]:
    """Load the total of each subscription's latest period invoice. One query."""
    latest = latest_settled(Invoice.objects.filter(subscription_id__in=subscription_ids))
    rows: Iterable[tuple[int | None, Decimal]] = latest.values_list("subscription_id", "total")
    return {subscription_id: total for subscription_id, total in rows if subscription_id is not None}


def latest_settled(invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """Filter to the live invoice of each subscription's latest period."""
    live = invoices.filter(kind__in=COMPARED).exclude(state=InvoiceState.VOID)
    return live.order_by("subscription_id", "-period_end", "-pk").distinct("subscription_id")
