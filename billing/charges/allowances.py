"""Free units: in which windows an allowance applies, and where earlier usage already took from it. Pure.

How often an allowance of 100 units is granted depends on its reset:

- each billing period: 100 for every price in force in the period, and again from a change of the free units on. If the
  allowance is prorated, a period of 15 of 30 days has 50.
- each day, week or month: 100 for each local day, or for each week or month counted from the billing anchor. Unused
  units expire.
- never: 100 for the life of the subscription, counted from its first active phase.

If a month began before the window, units used earlier in the month, since the price came into force, count. A
cumulative feature reports its total every period, so the allowance is deducted every period, whatever the reset.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.charges.subscription import Allowance, BilledSubscription, UsagePrice
from billing.money import times
from billing.rating.proration import factor
from catalog.kinds import EntitlementReset
from customers.kinds import PhaseKind
from customers.periods import Interval, Period, Schedule, Unit, periods_between, windows

_UNITS: dict[EntitlementReset, Unit] = {EntitlementReset.WEEKLY: "week", EntitlementReset.MONTHLY: "month"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One allowance for the usage of some windows. Earlier usage in the window `used_in` takes from it as well."""

    windows: tuple[Period, ...]
    limit: Decimal | None
    used_in: Period | None = None


def list_grants(
    subscription: BilledSubscription,
    allowance: Allowance,
    price: UsagePrice,
    windows_used: tuple[Period, ...],
    *,
    active: tuple[Period, ...],
) -> list[Grant]:
    """Divide the windows of a feature's usage into one grant per allowance.

    A prorated allowance is prorated to the days of the `active` windows.
    """
    if (
        allowance.limit is None
        or not allowance.limit
        or price.feature.is_cumulative
        or allowance.reset == EntitlementReset.PERIOD
    ):
        return [Grant(windows_used, _period_limit(subscription, allowance, active))]
    if allowance.reset == EntitlementReset.NEVER:
        return [_lifetime_grant(subscription, allowance, windows_used)]
    since = _in_force_since(subscription, price, allowance)
    return [
        Grant((part,), allowance.limit, _earlier_part(full, part, since))
        for window in windows_used
        for full, part in _reset_periods(subscription, allowance.reset, window)
    ]


def _period_limit(subscription: BilledSubscription, allowance: Allowance, active: tuple[Period, ...]) -> Decimal | None:
    if allowance.limit is None or not allowance.is_prorated:
        return allowance.limit
    full = subscription.full_period(subscription.schedule.index_at(active[0].start))
    share = sum((factor(full, window, subscription.timezone) for window in active), Fraction(0))
    return times(allowance.limit, share)


def _lifetime_grant(subscription: BilledSubscription, allowance: Allowance, windows_used: tuple[Period, ...]) -> Grant:
    first_active, start = subscription.first_active() or subscription.started_at, windows_used[0].start
    return Grant(windows_used, allowance.limit, Period(first_active, start) if first_active < start else None)


def _in_force_since(subscription: BilledSubscription, price: UsagePrice, allowance: Allowance) -> datetime:
    """Return since when the price is charged with this allowance. Other changes of agreed terms don't matter."""
    starts = (
        phase.start
        for phase in subscription.phases
        if phase.kind == PhaseKind.ACTIVE and subscription.plans[phase.version_id].charges(price, allowance)
    )
    return max(min(starts), subscription.started_at)


def _reset_periods(
    subscription: BilledSubscription, reset: EntitlementReset, window: Period
) -> list[tuple[Period, Period]]:
    """List the days, weeks or months of a window: each in full, and its part inside the window."""
    if reset == EntitlementReset.DAILY:
        return [(day, day) for day in windows(window, "day", subscription.timezone)]
    base = subscription.schedule
    schedule = Schedule(Interval(_UNITS[reset]), base.anchor, base.timezone, base.alignment)
    parts = periods_between(schedule, window.start, window.end)
    return [(_full_period(schedule, part), part) for part in parts]


def _full_period(schedule: Schedule, part: Period) -> Period:
    n = schedule.index_at(part.start)
    return Period(schedule.boundary(n), schedule.boundary(n + 1))


def _earlier_part(full: Period, part: Period, since: datetime) -> Period | None:
    start = max(full.start, since)
    return Period(start, part.start) if start < part.start else None
