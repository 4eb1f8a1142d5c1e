"""Read subscriptions for billing: a fixed number of queries, however many subscriptions."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from billing.charges.subscription import BilledSubscription, BillingProgress, InvoicedFee, Phase
from billing.invoicing.commitments import add_commitments
from billing.invoicing.late_adjustments import waiting_items
from billing.invoicing.plan_terms import Catalog, load_catalog
from billing.kinds import FEE_KINDS, InvoiceKind
from billing.models import BillingState, Invoice, InvoiceLine, InvoiceState
from billing.models.invoices import SETTLEMENT
from catalog.models.prices import Cadence
from customers.kinds import PhaseKind
from customers.models import Subscription, SubscriptionPhase
from customers.periods import Period
from customers.subscriptions import get_schedule

# The columns that billing needs: a run reads thousands of rows.
COLUMNS = (
    *("customer_id", "currency", "interval", "interval_count", "alignment", "anchor", "timezone"),
    *("started_at", "ended_at", "prorate"),
)


def load_subscriptions(
    subscription_ids: Collection[int], *, leaving_out: Collection[int] = (), since: datetime | None = None
) -> dict[int, BilledSubscription]:
    """Read subscriptions with their phases, plans, billing progress, late usage, commitments and recent fees.

    `leaving_out` are invoices to ignore: the draft that is recalculated, the invoice that is replaced. `since` includes
    invoices of earlier periods, back to the one of that moment.
    """
    subscriptions = load_terms(subscription_ids)
    late = waiting_items(subscription_ids, leaving_out)
    for pk, subscription in subscriptions.items():
        subscription.late = late[pk]
    _add_invoiced(subscriptions, leaving_out, since)
    add_commitments(subscriptions, leaving_out)
    return subscriptions


def load_terms(subscription_ids: Collection[int]) -> dict[int, BilledSubscription]:
    """Read subscriptions with only their phases, plans and billing progress: enough to rate usage, not to bill."""
    states = BillingState.objects.filter(pk__among=subscription_ids)
    rows = states.values_list("pk", "opened", "billed_until", "closed_at", "change_at")
    progress = {
        pk: BillingProgress(opened, billed_until, closed_at, change_at)
        for pk, opened, billed_until, closed_at, change_at in rows
    }
    phases = _phases(subscription_ids)
    catalog = load_catalog({phase.version_id for chain in phases.values() for phase in chain})
    subscriptions = with_payers(Subscription.objects.filter(pk__among=subscription_ids)).only(*COLUMNS)
    return {
        row.pk: _billed_subscription(row, phases[row.pk], catalog, progress.get(row.pk, BillingProgress()))
        for row in subscriptions
    }


def load_subscriptions_as_of(moments: Sequence[tuple[int, datetime]]) -> list[BilledSubscription]:
    """Read each subscription as it was known at a moment: with the phases recorded then, even if changed since.

    Enough to rate usage again on the terms of an earlier invoice; billing progress and invoiced fees aren't read. A
    subscription that wasn't recorded yet at its moment is read as it is now.
    """
    ids = {pk for pk, _ in moments}
    phases: dict[int, list[SubscriptionPhase]] = defaultdict(list)
    rows = SubscriptionPhase.objects.filter(subscription_id__among=list(ids))
    for row in rows.order_by("subscription_id", "starts_at", "pk"):
        phases[row.subscription_id].append(row)
    catalog = load_catalog({row.plan_version_id for versions in phases.values() for row in versions})
    subscriptions = with_payers(Subscription.objects.all()).in_bulk(ids)
    result = []
    for pk, moment in moments:
        known = [row for row in phases[pk] if _is_known_at(row, moment)]
        current = [row for row in phases[pk] if row.superseded_at is None]
        chain = [_phase(row) for row in known or current]
        subscription = _billed_subscription(subscriptions[pk], chain, catalog, BillingProgress())
        subscription.ended_at = None  # the end as known then is the end of the last phase
        result.append(subscription)
    return result


def _is_known_at(row: SubscriptionPhase, moment: datetime) -> bool:
    return row.recorded_at <= moment and (row.superseded_at is None or row.superseded_at > moment)


def _phases(subscription_ids: Collection[int]) -> dict[int, list[Phase]]:
    phases: dict[int, list[Phase]] = defaultdict(list)
    rows = SubscriptionPhase.objects.filter(subscription_id__among=subscription_ids, superseded_at=None)
    columns = ("subscription_id", "kind", "plan_version_id", "starts_at", "ends_at")
    for subscription_id, kind, *phase in rows.order_by("subscription_id", "starts_at").values_list(*columns):
        phases[subscription_id].append(Phase(PhaseKind(kind), *phase))
    return phases


def _phase(row: SubscriptionPhase) -> Phase:
    return Phase(PhaseKind(row.kind), row.plan_version_id, row.starts_at, row.ends_at)


def with_payers(subscriptions: QuerySet[Subscription]) -> QuerySet[Any]:
    """Add `payer`: the customer who gets the invoices, the subscription's own or its parent.

    Also add `joins`: whether that customer gets joint invoices.
    """
    return subscriptions.annotate(
        payer=Coalesce("customer__parent", "customer"),
        joins=Coalesce("customer__parent__joins_invoices", "customer__joins_invoices"),
    )


def _billed_subscription(
    row: Any, phases: list[Phase], catalog: Catalog, progress: BillingProgress
) -> BilledSubscription:
    schedule = get_schedule(row)
    versions = {phase.version_id for phase in phases}
    return BilledSubscription(
        subscription_id=row.pk,
        customer_id=row.customer_id,
        payer_id=row.payer,
        currency=row.currency,
        schedule=schedule,
        started_at=row.started_at,
        ended_at=row.ended_at,
        prorate=row.prorate,
        phases=tuple(phases),
        plans={pk: catalog[pk].terms(row.currency, schedule.interval) for pk in versions},
        progress=progress,
        joins_invoices=row.joins,
    )


def _recent_since(subscription: BilledSubscription, earliest: datetime | None) -> datetime:
    """Return from when on invoices matter: the start of the period before the one that is billed next.

    `earliest` is the start of an invoice that is recalculated: all fees of its billing period matter.
    """
    since = subscription.progress.billed_until or subscription.started_at
    if subscription.ended_at is not None:
        since = min(since, subscription.ended_at)
    recent = subscription.schedule.boundary(subscription.schedule.index_at(since) - 1)
    if earliest is None:
        return recent
    return min(
        recent, subscription.schedule.boundary(subscription.schedule.index_at(max(earliest, subscription.started_at)))
    )


def _add_invoiced(
    subscriptions: dict[int, BilledSubscription], leaving_out: Collection[int], since: datetime | None
) -> None:
    if not subscriptions:
        return
    since = min(_recent_since(subscription, since) for subscription in subscriptions.values())
    all_invoices = Invoice.objects.filter(subscription_id__among=list(subscriptions))
    # A settlement can credit fees of any period, and an end that moves later charges them again.
    settled = all_invoices.filter(SETTLEMENT).values("subscription_id")
    invoices = all_invoices.filter(Q(period_end__gte=since) | Q(subscription_id__in=settled))
    live = invoices.exclude(state=InvoiceState.VOID).exclude(pk__in=leaving_out)
    periods = live.values_list("subscription_id", "kind", "period_start", "period_end")
    for subscription_id, kind, period_start, period_end in periods:
        is_settlement = kind == InvoiceKind.FINAL and period_start == period_end
        if subscription_id is not None and period_start is not None and not is_settlement:
            subscriptions[subscription_id].issued.add((InvoiceKind(kind), period_start))
    # A fee of several periods is on an invoice of long ago.
    of_all = all_invoices.exclude(state=InvoiceState.VOID).exclude(pk__in=leaving_out)
    lines = [*_fee_lines(live, price__periods=1), *_fee_lines(of_all, price__periods__gt=1)]
    for line in sorted(lines, key=lambda line: line.pk):
        if line.invoice.subscription_id is not None and line.price_id is not None:
            subscriptions[line.invoice.subscription_id].invoiced.append(_invoiced_fee(line))


def _fee_lines(invoices: "Iterable[Invoice]", **conditions: int) -> Iterable[InvoiceLine]:
    lines = InvoiceLine.objects.filter(
        invoice__in=invoices, kind__in=FEE_KINDS, price__isnull=False, period_start__isnull=False, **conditions
    )
    return (
        lines.select_related("invoice", "price")
        .only(
            *("plan_version", "computation", "period_start", "period_end", "amount", "discount_amount"),
            *("invoice__subscription", "invoice__kind", "invoice__period_start", "invoice__period_end"),
            *("price__cadence", "price__periods"),
        )
        .order_by("pk")
    )


def _invoiced_fee(line: InvoiceLine) -> InvoicedFee:
    if line.price is None or line.period_start is None or line.period_end is None:
        raise ValueError("A fee line has a price and a period")
    label = line.computation.get("label", "Recurring fee")
    service = Period(line.period_start, line.period_end)
    return InvoicedFee(
        price_id=line.price.pk,
        version_id=line.plan_version_id,
        label=label,
        service=service,
        amount=line.amount,
        in_advance=line.price.cadence == Cadence.ADVANCE,
        discount=line.discount_amount,
        invoice_id=line.invoice_id,
        periods=line.price.periods,
        settles=line.invoice.kind == InvoiceKind.FINAL and line.invoice.period_start == line.invoice.period_end,
    )
