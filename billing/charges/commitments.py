"""Minimum commitments of usage prices: what the usage of a period lacks to them. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from billing import lines, wording
from billing.charges.subscription import BilledSubscription, PlanTerms, UsagePrice
from billing.lines import Charge
from billing.money import format_amount, round_amount, times
from billing.rating.proration import calendar_days, factor
from customers.periods import Period


def true_up(
    subscription: BilledSubscription, price: UsagePrice, plan: PlanTerms, active: Sequence[Period], charged: Decimal
) -> list[Charge]:
    """Charge what the usage lacks to the minimum commitment, which shrinks to the active days. No line if nothing."""
    if price.minimum is None:
        return []
    span = Period(active[0].start, active[-1].end)
    full = subscription.full_period(subscription.schedule.index_at(span.start))
    share = sum((factor(full, window, subscription.timezone) for window in active), Fraction(0))
    due = times(price.minimum, share)
    missing = round_amount(due, subscription.currency) - charged
    if missing <= 0:
        return []
    says = format_amount(due, subscription.currency)
    line = Charge(
        kind=lines.TRUE_UP,
        description=f"{price.label}, {wording.dates(span, subscription.timezone)} · "
        f"minimum commitment {says}, less {format_amount(charged, subscription.currency)} of usage",
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
            "days": _days(subscription, full, active, share),
            "due": wording.plain(due),
            "charged": wording.plain(charged),
        },
        label=price.label,
    )
    return [line]


def _days(subscription: BilledSubscription, full: Period, active: Sequence[Period], share: Fraction) -> dict[str, int]:
    of = calendar_days(full.start, full.end, subscription.timezone)
    spans = [calendar_days(window.start, window.end, subscription.timezone) for window in active]
    return {"charged": of if share == 1 else sum(spans), "of": of}
