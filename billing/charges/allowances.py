"""Free units: over which windows an allowance is granted, and what was used of it before. Pure.

- each billing period: the whole allowance for every plan version in force in it (shrunk with a short period only
  where the free tier asks for that);
- each day, week, month: local days, or weeks and months of the billing anchor; what isn't used lapses;
- never: one allowance for the subscription's life, counted from its first active phase.

A month that began before the window counts what was used in it since this plan version came into force. A cumulative
feature states its total anew every period, so its allowance comes off every time, whatever the reset.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.charges.subscription import Allowance, BilledSubscription, MeteredFeature
from billing.money import ZERO, times
from billing.rating.proration import factor
from customers.kinds import PhaseKind
from customers.periods import Interval, Period, Schedule, Unit, periods_between, windows

NO_ALLOWANCE = Allowance(ZERO)
_UNITS: dict[str, Unit] = {"weekly": "week", "monthly": "month"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One allowance for the usage of some windows. `used_in` is where usage before them took from it."""

    windows: tuple[Period, ...]
    limit: Decimal | None
    used_in: Period | None = None


def grants(
    subscription: BilledSubscription,
    allowance: Allowance,
    feature: MeteredFeature,
    version_id: int,
    used: tuple[Period, ...],
    *,
    active: tuple[Period, ...],
) -> list[Grant]:
    """Cut the windows in which a feature was used into one grant per allowance.

    What shrinks with a short period shrinks to the days of the windows in which the feature was `active`.
    """
    if allowance.limit is None or not allowance.limit or feature.is_cumulative or allowance.reset == "period":
        return [Grant(used, _period_limit(subscription, allowance, active))]
    if allowance.reset == "never":
        return [_lifetime(subscription, allowance, used)]
    found: list[Grant] = []
    since = _in_force_since(subscription, version_id)
    for window in used:
        found += [
            Grant((inside,), allowance.limit, _before(whole, inside, since))
            for whole, inside in _granted_in(subscription, allowance.reset, window)
        ]
    return found


def _period_limit(subscription: BilledSubscription, allowance: Allowance, active: tuple[Period, ...]) -> Decimal | None:
    if allowance.limit is None or not allowance.is_prorated:
        return allowance.limit
    full = subscription.full_period(subscription.schedule.index_at(active[0].start))
    share = sum((factor(full, window, subscription.timezone) for window in active), Fraction(0))
    return times(allowance.limit, share)


def _lifetime(subscription: BilledSubscription, allowance: Allowance, used: tuple[Period, ...]) -> Grant:
    opened = subscription.first_active() or subscription.started_at
    before = Period(opened, used[0].start) if opened < used[0].start else None
    return Grant(used, allowance.limit, before)


def _in_force_since(subscription: BilledSubscription, version_id: int) -> datetime:
    starts = (
        phase.start
        for phase in subscription.phases
        if phase.kind == PhaseKind.ACTIVE and phase.version_id == version_id
    )
    return max(min(starts), subscription.started_at)


def _granted_in(subscription: BilledSubscription, reset: str, window: Period) -> list[tuple[Period, Period]]:
    """List the days, weeks or months of a window: each whole, and the part of it inside."""
    if reset == "daily":
        return [(inside, inside) for inside in windows(window, "day", subscription.timezone)]
    base = subscription.schedule
    schedule = Schedule(Interval(_UNITS[reset]), base.anchor, base.timezone, base.alignment)
    parts = periods_between(schedule, window.start, window.end)
    return [(_whole(schedule, part), part) for part in parts]


def _whole(schedule: Schedule, part: Period) -> Period:
    n = schedule.index_at(part.start)
    return Period(schedule.boundary(n), schedule.boundary(n + 1))


def _before(whole: Period, inside: Period, since: datetime) -> Period | None:
    start = max(whole.start, since)
    return Period(start, inside.start) if start < inside.start else None
