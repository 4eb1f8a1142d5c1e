"""Subscriptions made of a vector's amounts, billed by the functions that write invoices."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import Conditions
from billing.charges.fees import calculate_fees
from billing.charges.next_invoice import mark_invoiced, next_invoice
from billing.charges.subscription import (
    Allowance,
    BilledSubscription,
    BillingProgress,
    Fee,
    MeteredFeature,
    Phase,
    PlanTerms,
    UsagePrice,
)
from billing.charges.usage_charges import UsageCharge, list_usage_charges
from billing.charges.usage_lines import calculate_usage
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, record_on_subscription
from billing.lines import Charge
from billing.money import ZERO, exact
from billing.rating.proration import calendar_days
from billing.rating.terms import Terms
from customers.kinds import PhaseKind
from customers.periods import Interval, Period, Schedule
from events.usage.meter import Quantity
from tests.conformance.registry import NotOffered, Policy
from tests.conformance.values import rounded, rounds_like_money

ONE = Decimal(1)
START = datetime(2026, 1, 1, tzinfo=UTC)  # where a vector has no dates
MONTH = Period(START, datetime(2026, 2, 1, tzinfo=UTC))
SUM = "sum"


def days_from_start(count: int) -> datetime:
    return START + timedelta(days=count)


def schedule_of(period: Period, timezone: str) -> Schedule:
    """Return a schedule that has this billing period. Raises `NotOffered` if no subscription can have it."""
    days = calendar_days(period.start, period.end, timezone)
    schedule = Schedule(Interval("day", max(days, 1)), period.start, timezone)
    if schedule.boundary(1) != period.end:
        raise NotOffered("periods that start and end at different times of day: a billing period lasts whole days")
    return schedule


def plan(
    version_id: int,
    *,
    fees: Iterable[Fee] = (),
    usage: Iterable[UsagePrice] = (),
    allowances: dict[int, Allowance] | None = None,
) -> PlanTerms:
    return PlanTerms(version_id, "Plan", 1, tuple(fees), tuple(usage), allowances or {})


def billed_subscription(
    schedule: Schedule,
    plans: Sequence[PlanTerms],
    phases: Sequence[Phase],
    *,
    currency: str,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    is_opened: bool = False,
    conditions: Conditions | None = None,
) -> BilledSubscription:
    """Return a subscription as billing sees it. `is_opened` says that nothing is charged at its start any more."""
    return BilledSubscription(
        subscription_id=1,
        customer_id=1,
        payer_id=1,
        currency=currency,
        schedule=schedule,
        started_at=started_at or schedule.anchor,
        ended_at=ended_at,
        phases=tuple(phases),
        plans={terms.version_id: terms for terms in plans},
        progress=BillingProgress(opened=is_opened),
        conditions=conditions,
    )


def bill(subscription: BilledSubscription) -> ComputedInvoice:
    """Calculate the subscription's next invoice of fees, and record it on the subscription."""
    invoice = next_invoice(subscription)
    if invoice is None:
        raise LookupError("The subscription has no next invoice")
    lines = calculate_fees(subscription, invoice)
    computed = ComputedInvoice(
        InvoiceRequest(subscription, invoice), lines, adjusted=adjust_lines(lines, subscription, invoice.due_at)
    )
    record_on_subscription(computed)
    mark_invoiced(subscription, invoice)
    return computed


def adjust_lines(lines: Iterable[Charge], subscription: BilledSubscription, at: datetime) -> InvoiceTotals:
    """Discount and tax an invoice's lines as the subscription's conditions say."""
    return adjust(
        list(lines),
        subscription.conditions or Conditions(),
        currency=subscription.currency,
        at=at,
        subscription_id=subscription.subscription_id,
    )


def invoices_until(subscription: BilledSubscription, target: datetime | None) -> Iterator[ComputedInvoice]:
    """Bill the subscription until nothing more is due by a moment; with no moment, until it has ended."""
    while (invoice := next_invoice(subscription)) is not None and (target is None or invoice.due_at <= target):
        yield bill(subscription)


def amount_of(lines: Iterable[Charge], policy: Policy) -> Decimal:
    """Return what lines charge: as invoiced, or exactly where the vector doesn't round as a currency does."""
    if rounds_like_money(policy):
        return sum((line.amount for line in lines), ZERO)
    with exact():
        return rounded(sum((line.exact_amount for line in lines), ZERO), policy)


def fee_for(
    amount: Decimal, period: Period, service: Period, timezone: str, currency: str, *, version_id: int = 1
) -> list[Charge]:
    """Return what an invoice charges of a period's fee for the days of a service."""
    terms = plan(version_id, fees=[Fee(version_id, "Fee", amount, ONE, in_advance=False)])
    subscription = billed_subscription(
        schedule_of(period, timezone),
        [terms],
        [Phase(PhaseKind.ACTIVE, version_id, service.start, service.end)],
        currency=currency,
        ended_at=period.end,
        is_opened=True,
    )
    return bill(subscription).lines


@dataclass(frozen=True)
class Usage:
    """A usage price, and what was used: a quantity, or events whose values are priced one by one."""

    terms: Terms
    quantity: Decimal
    values: Sequence[Decimal] = ()
    free_units: Decimal = Decimal(0)
    minimum: Decimal | None = None
    place: int = 1

    def subscription(self, schedule: Schedule, active: Period, currency: str) -> BilledSubscription:
        """Return a subscription to a plan that charges the usage, with the plan in force for a while."""
        feature = MeteredFeature(self.place, "Usage", SUM, is_cumulative=False)
        price = UsagePrice(self.place, "Usage", feature, self.terms, self.minimum)
        allowances = {self.place: Allowance(self.free_units)} if self.free_units else {}
        return billed_subscription(
            schedule,
            [plan(self.place, usage=[price], allowances=allowances)],
            [Phase(PhaseKind.ACTIVE, self.place, active.start, active.end)],
            currency=currency,
            is_opened=True,
        )


def usage_for(usage: Usage, currency: str, *, days: int | None = None, active_days: int = 0) -> list[Charge]:
    """Return what an invoice charges for a period's usage: a month's, or of a plan in force for so many of its days."""
    if days is None:
        schedule, active = Schedule(Interval("month"), START), MONTH
    else:
        schedule = schedule_of(Period(START, days_from_start(days)), "UTC")
        active = Period(START, days_from_start(active_days))
    subscription = usage.subscription(schedule, active, currency)
    [charge] = next_charges(subscription)
    return calculate_usage(subscription, charge, [metered(usage.quantity)], [usage.values])


def next_charges(subscription: BilledSubscription) -> list[UsageCharge]:
    invoice = next_invoice(subscription)
    return [] if invoice is None else list_usage_charges(subscription, invoice)


def metered(value: Decimal) -> Quantity:
    """Answer as the meter does."""
    return Quantity(value, int(value != 0), 0)


@dataclass(frozen=True)
class Instalments:
    """The lines of a period's usage on two invoices: the one up to its middle, and the one for the rest."""

    earlier: list[Charge]
    later: list[Charge]


def usage_in_two(usage: Usage, earlier: Decimal, currency: str) -> Instalments:
    """Bill a month's usage on two invoices, as where its subscription was to end in its middle, and then went on.

    `usage` is the whole month's, `earlier` is what was used up to the middle.
    """
    subscription = usage.subscription(Schedule(Interval("month"), START), MONTH, currency)
    subscription.progress.billed_until = days_from_start(15)
    [charge] = next_charges(subscription)
    if charge.charged_before is None:
        raise LookupError("The invoice begins within the period")
    before = metered(earlier)
    return Instalments(
        calculate_usage(subscription, charge.charged_before, [before]),
        calculate_usage(subscription, charge, [metered(usage.quantity), before]),
    )
