"""What a whole billing period costs with the usage of the last one, to compare plans."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription, BillingProgress, Phase
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.subscriptions import load_terms
from billing.kinds import InvoiceKind
from customers.kinds import PhaseKind
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class WholePeriod:
    """The total, with discounts and tax, of all fees of a period and its usage under one plan version."""

    period: Period
    total: Decimal


def whole_period(subscription_id: int, *, now: datetime) -> WholePeriod | None:
    """Calculate the last full billing period as if the subscription's latest plan version had been active in it.

    Prices, lasting discounts and taxes are those of today; discounts of a limited number of invoices and prepaid credit
    don't count. None if no period is over yet since the start, or the version can't be billed.
    """
    subscription = load_terms([subscription_id]).get(subscription_id)
    if subscription is None or not subscription.phases:
        return None
    period = subscription.full_period(subscription.schedule.index_at(now) - 1)
    if period.start < subscription.started_at:
        return None
    imagined = _with_one_version(subscription, period)
    attach_conditions([imagined])
    if imagined.conditions is not None:
        coupons = imagined.conditions.coupons
        imagined.conditions.coupons = [row for row in coupons if row.limit is None and not row.keeps_rest]
    [invoice] = compute_invoices([InvoiceRequest(imagined, NextInvoice(InvoiceKind.CYCLE, period, now))])
    return None if invoice.problem else WholePeriod(period, invoice.total)


def _with_one_version(subscription: BilledSubscription, period: Period) -> BilledSubscription:
    """Return the subscription as if it ended with the period, so that only the fees of the period are due."""
    latest = max(subscription.phases, key=lambda phase: phase.start)
    phase = Phase(PhaseKind.ACTIVE, latest.version_id, subscription.started_at)
    return replace(
        subscription,
        phases=(phase,),
        ended_at=period.end,
        progress=BillingProgress(),
        invoiced=[],
        issued=set(),
        late=[],
    )
