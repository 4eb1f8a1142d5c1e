"""What a whole billing period costs with the usage of the last one, to compare plans."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription, BillingProgress, Phase, PlanTerms
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.plan_terms import load_catalog
from billing.invoicing.subscriptions import load_terms
from billing.kinds import InvoiceKind
from billing.money import exact
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
    latest = max(subscription.phases, key=lambda phase: phase.start)
    return _calculate(subscription, latest.version_id, period, now)


def whole_period_under(subscription_id: int, version_id: int, *, now: datetime) -> WholePeriod | None:
    """Calculate a full billing period as if this version had been active in it, as `whole_period` does.

    It is the last one, or the current one with the usage so far if that is the first. None without a subscription.
    """
    subscription = load_terms([subscription_id]).get(subscription_id)
    if subscription is None:
        return None
    terms = load_catalog([version_id])[version_id].terms(subscription.currency, subscription.schedule.interval)
    subscription.plans[version_id] = terms
    index = subscription.schedule.index_at(max(now, subscription.started_at))
    last = subscription.full_period(index - 1)
    period = last if last.start >= subscription.started_at else subscription.full_period(index)
    return _calculate(subscription, version_id, period, now)


def _calculate(subscription: BilledSubscription, version_id: int, period: Period, now: datetime) -> WholePeriod | None:
    imagined = _with_one_version(subscription, version_id, period)
    attach_conditions([imagined])
    if imagined.conditions is not None:
        coupons = imagined.conditions.coupons
        imagined.conditions.coupons = [row for row in coupons if row.limit is None and not row.keeps_rest]
    [invoice] = compute_invoices([InvoiceRequest(imagined, NextInvoice(InvoiceKind.CYCLE, period, now))])
    return None if invoice.problem else WholePeriod(period, invoice.total)


def _per_period(plan: PlanTerms) -> PlanTerms:
    with exact():
        fees = [replace(fee, unit_amount=fee.unit_amount / fee.periods, periods=1) for fee in plan.fees]
    return replace(plan, fees=tuple(fees))


def _with_one_version(subscription: BilledSubscription, version_id: int, period: Period) -> BilledSubscription:
    """Return the subscription as if it ended with the period, so that only the fees of the period are due.

    A fee of several periods counts with its part: an annual one of $1,200.00 with $100.00 a month.
    """
    phase = Phase(PhaseKind.ACTIVE, version_id, min(subscription.started_at, period.start))
    return replace(
        subscription,
        started_at=phase.start,
        phases=(phase,),
        plans={version_id: _per_period(subscription.plans[version_id])},
        ended_at=period.end,
        progress=BillingProgress(),
        invoiced=[],
        issued=set(),
        late=[],
    )
