"""Minimum commitments of usage prices. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from billing import wording
from billing.charges.subscription import BilledSubscription, PlanTerms, UsagePrice
from billing.kinds import LineKind
from billing.lines import Charge
from billing.money import format_amount, round_amount, times
from billing.rating.proration import calendar_days, factor
from config.numbers import number
from customers.periods import Period


def calculate_true_up(
    subscription: BilledSubscription, price: UsagePrice, plan: PlanTerms, active: Sequence[Period], charged: Decimal
) -> list[Charge]:
    """Charge the difference between a period's usage charges and the minimum commitment, if the usage is below it.

    The minimum is prorated to the active days: of a minimum of $60.00 for June, a subscription that starts on 16 June
    owes $30.00. With $5.00 of usage the true-up is $25.00; with $30.00 or more there is none.
    """
    if price.minimum is None:
        return []
    span = Period(active[0].start, active[-1].end)
    full = subscription.full_period(subscription.schedule.index_at(span.start))
    share = sum((factor(full, window, subscription.timezone) for window in active), Fraction(0))
    due = times(price.minimum, share)
    missing = round_amount(due, subscription.currency) - charged
    if missing <= 0:
        return []
    minimum = format_amount(due, subscription.currency)
    charge = Charge(
        kind=LineKind.TRUE_UP,
        description=f"{price.label}, {wording.dates(span, subscription.timezone)} · "
        f"{_name(price)} {minimum}, less {format_amount(charged, subscription.currency)} of usage",
        period=span,
        amount=missing,
        exact_amount=missing,
        price_id=price.price_id,
        plan_version_id=plan.version_id,
        unit_amount=missing,
        feature_id=price.feature.id,
        computation={
            "label": price.label,
            "minimum": wording.plain(price.minimum),
            **({} if price.minimum_quantity is None else {"minimum_quantity": wording.plain(price.minimum_quantity)}),
            "days": _count_days(subscription, full, active, share),
            "due": wording.plain(due),
            "charged": wording.plain(charged),
        },
        label=price.label,
    )
    return [charge]


def _name(price: UsagePrice) -> str:
    """Name a commitment: "minimum commitment", "minimum commitment of 1,000 calls:"."""
    if price.minimum_quantity is None:
        return "minimum commitment"
    feature, quantity = price.feature, price.minimum_quantity
    return (
        f"minimum commitment of {number(quantity)}{wording.unit(feature.unit_singular, feature.unit_plural, quantity)}:"
    )


def _count_days(
    subscription: BilledSubscription, full: Period, active: Sequence[Period], share: Fraction
) -> dict[str, int]:
    days = calendar_days(full.start, full.end, subscription.timezone)
    active_days = sum(calendar_days(window.start, window.end, subscription.timezone) for window in active)
    return {"charged": days if share == 1 else active_days, "of": days}
