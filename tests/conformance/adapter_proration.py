"""proration.json against the fees that invoices charge: `calculate_fees`, and `adjust` where there is a discount.

A plan change is a subscription with two phases, billed before and after the change.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.adjustments.conditions import AppliedCoupon, Conditions
from billing.charges.subscription import BilledSubscription, Fee, MeteredFeature, Phase, UsagePrice
from billing.invoicing.compute import ComputedInvoice
from billing.lines import Charge
from billing.money import ZERO, to_decimal
from billing.rating.proration import calendar_days, factor
from billing.rating.terms import Model, Terms
from customers.kinds import PhaseKind
from customers.periods import Interval, Period, Schedule
from tests.conformance.registry import Category, Inputs, NotOffered, Policy
from tests.conformance.subscriptions import (
    ONE,
    SUM,
    amount_of,
    bill,
    billed_subscription,
    fee_for,
    invoices_until,
    plan,
    schedule_of,
)
from tests.conformance.values import (
    Moments,
    anchor_of,
    currency_for,
    interval,
    number,
    numbers,
    optional_number,
    rounded,
    whole_number,
)

OLD, NEW = 1, 2
# A fee of a billion yen a cycle shows a cycle's share to nine places, each line rounded once.
BILLION, YEN, NINE_PLACES = Decimal(10) ** 9, "JPY", -9


def factor_of(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    share = factor(moments.period(inputs["period"]), moments.period(inputs["service"]), moments.timezone)
    scale = policy.get("factor_scale")
    representation = {} if scale is None else {"rounding": "half_up", "scale": scale}
    return {"factor": rounded(to_decimal(share), representation)}


def prorated(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    lines = fee_for(
        number(inputs["amount"]),
        moments.period(inputs["period"]),
        moments.period(inputs["service"]),
        moments.timezone,
        currency_for(policy),
    )
    return {"amount": amount_of(lines, policy)}


def change(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    if number(inputs.get("already_credited") or 0):
        raise NotOffered("plan_change with already_credited: no cap; a fee's line is what is due less what is invoiced")
    moments = Moments(inputs)
    period, change_at = moments.period(inputs["period"]), moments.read(inputs["change_at"])
    old, new = [fee(OLD, number(inputs["old_amount"]))], [fee(NEW, number(inputs["new_amount"]))]
    currency = currency_for(policy)
    if inputs.get("new_cycle_starts_at_change"):
        lines = restarted(period, change_at, old, new, moments.timezone, currency)
    else:
        lines = changed(period, change_at, old, new, moments.timezone, currency=currency).lines
    return {
        "credit": amount_of([line for line in lines if line.price_id == OLD], policy),
        "charge": amount_of([line for line in lines if line.price_id == NEW], policy),
        "net": amount_of(lines, policy),
    }


def fee(price_id: int, amount: Decimal) -> Fee:
    return Fee(price_id, f"Fee {price_id}", amount, ONE, in_advance=True)


def opened(
    period: Period,
    fees: Sequence[Fee],
    timezone: str,
    *,
    currency: str,
    new_fees: Sequence[Fee] = (),
    usage: Sequence[UsagePrice] = (),
    conditions: Conditions | None = None,
) -> BilledSubscription:
    """Return a subscription whose first period's fees are invoiced."""
    subscription = billed_subscription(
        schedule_of(period, timezone),
        [plan(OLD, fees=fees, usage=usage), plan(NEW, fees=new_fees, usage=usage)],
        [Phase(PhaseKind.ACTIVE, OLD, period.start)],
        currency=currency,
        conditions=conditions,
    )
    bill(subscription)
    return subscription


def changed(
    period: Period,
    change_at: datetime,
    old: Sequence[Fee],
    new: Sequence[Fee],
    timezone: str,
    *,
    currency: str,
    usage: Sequence[UsagePrice] = (),
    conditions: Conditions | None = None,
) -> ComputedInvoice:
    """Change the plan after the period's fees are invoiced; return the last invoice, at its end."""
    subscription = opened(period, old, timezone, currency=currency, new_fees=new, usage=usage, conditions=conditions)
    subscription.phases = (
        Phase(PhaseKind.ACTIVE, OLD, period.start, change_at),
        Phase(PhaseKind.ACTIVE, NEW, change_at),
    )
    subscription.ended_at = period.end
    return bill(subscription)


def restarted(
    period: Period, change_at: datetime, old: Sequence[Fee], new: Sequence[Fee], timezone: str, currency: str
) -> list[Charge]:
    """End the subscription after its fees are invoiced, and open another then; return their lines."""
    subscription = opened(period, old, timezone, currency=currency)
    subscription.ended_at = change_at
    successor = opened_at(change_at, period, new, timezone, currency)
    return [*bill(subscription).lines, *successor.lines]


def opened_at(start: datetime, period: Period, fees: Sequence[Fee], timezone: str, currency: str) -> ComputedInvoice:
    """Return the first invoice of a subscription that begins at a moment."""
    schedule = Schedule(schedule_of(period, timezone).interval, start, timezone)
    return bill(
        billed_subscription(schedule, [plan(NEW, fees=fees)], [Phase(PhaseKind.ACTIVE, NEW, start)], currency=currency)
    )


def lines(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    rows = list(inputs["lines"])
    if any(row["kind"] == "one_time" for row in rows):
        raise NotOffered("change_lines of kind one_time: a plan has no one-time fees; one-off invoices charge them")
    if any(whole_number(row.get("own_period_days")) is not None for row in rows):
        raise NotOffered("change_lines with own_period_days: a subscription's fees all have its own interval")
    fees = {
        direction: [
            fee(place, number(row["amount"]))
            for place, row in enumerate(rows, start=1)
            if (row["kind"], row["direction"]) == ("recurring", direction)
        ]
        for direction in ("credit", "charge")
    }
    usage = [
        UsagePrice(
            place, "Usage", MeteredFeature(place, "Usage", SUM, is_cumulative=False), per_unit(number(row["amount"]))
        )
        for place, row in enumerate(rows, start=1)
        if row["kind"] == "usage"
    ]
    invoice = changed(
        moments.period(inputs["period"]),
        moments.read(inputs["change_at"]),
        fees["credit"],
        fees["charge"],
        moments.timezone,
        currency=currency_for(policy),
        usage=usage,
    )
    in_order = sorted(invoice.lines, key=lambda line: line.price_id or 0)
    return {"amounts": [amount_of([line], policy) for line in in_order], "net": amount_of(in_order, policy)}


def per_unit(amount: Decimal) -> Terms:
    return Terms(Model.PER_UNIT, unit_amount=amount)


def discounted(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    if whole_number(inputs.get("only_difference_of")) is not None:
        raise NotOffered("discounted_change of a difference only: the old fee is credited and the new one charged")
    if optional_number(inputs.get("amount_off")) is not None:
        raise NotOffered("discounted_change with amount_off: a coupon takes its amount off each invoice, unprorated")
    moments = Moments(inputs)
    old, new = numbers(inputs["old_parts"]), numbers(inputs["new_parts"])
    coupon = AppliedCoupon(1, "coupon", "Coupon", percent_off=optional_number(inputs.get("percent_off")))
    invoice = changed(
        moments.period(inputs["period"]),
        moments.read(inputs["change_at"]),
        [fee(place, amount) for place, amount in enumerate(old)],
        [fee(place, amount) for place, amount in enumerate(new, start=len(old))],
        moments.timezone,
        currency=currency_for(policy),
        conditions=Conditions(coupons=[coupon]),
    )
    adjusted = zip(invoice.lines, invoice.adjusted.charges, strict=True)
    net = {line.price_id: charge.remaining for line, charge in adjusted}
    return {
        "credits": [net.get(place, ZERO) for place in range(len(old))],
        "charges": [net.get(place, ZERO) for place in range(len(old), len(old) + len(new))],
        "net": invoice.total,
    }


def days(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, end = moments.read(inputs["start"]), moments.read(inputs["end"])
    return {"days": calendar_days(start, end, moments.timezone)}


def cycles(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    length, start = interval(inputs["interval"]), moments.read(inputs["start"])
    anchor = anchor_of(start, length, whole_number(inputs.get("anchor_day")), moments.timezone)
    subscription = paid_by_the_cycle(
        Schedule(length, anchor, moments.timezone), start, moments.optional(inputs.get("end"))
    )
    return {"cycles": cycles_charged(subscription, moments.read(inputs["target"]))}


def months(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, end = moments.read(inputs["start"]), moments.read(inputs["end"])
    subscription = paid_by_the_cycle(Schedule(Interval("month"), start, moments.timezone), start, end)
    return {"fraction": cycles_charged(subscription)}


def paid_by_the_cycle(schedule: Schedule, start: datetime, end: datetime | None) -> BilledSubscription:
    terms = plan(NEW, fees=[fee(NEW, BILLION)])
    return billed_subscription(
        schedule, [terms], [Phase(PhaseKind.ACTIVE, NEW, start)], currency=YEN, started_at=start, ended_at=end
    )


def cycles_charged(subscription: BilledSubscription, target: datetime | None = None) -> Decimal:
    charged = [invoice.total for invoice in invoices_until(subscription, target)]
    return sum(charged, ZERO).scaleb(NINE_PLACES)


CATEGORY = Category(
    operations={
        "factor": factor_of,
        "prorate": prorated,
        "plan_change": change,
        "change_lines": lines,
        "discounted_change": discounted,
        "calendar_days": days,
        "billing_cycles": cycles,
        "month_fraction": months,
    },
    not_offered={
        "cap_credit": "a credit that exceeds what is left of a charge is refused, not cut",
        "fixed_month_days": "months have their real length",
    },
    policies={
        "unit": frozenset({"day"}),
        "service_end_day": frozenset({"excluded"}),
        "change_day": frozenset({"new"}),
        "period_end_day": frozenset({"excluded"}),
        "stub_base": frozenset({"anchored"}),
    },
    declined={
        "unit": "fees are prorated by calendar days",
        "service_end_day=inclusive": "the day on which a service ends isn't charged",
        "change_day=old": "the day of a change belongs to the new plan",
        "period_end_day=inclusive": "a period doesn't include its end",
        "stub_base=subtract_from_boundary": "a short period is measured over the anchored period it lies in",
    },
)
