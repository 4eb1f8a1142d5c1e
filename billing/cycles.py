"""Billing cycles in advance: how many of them, whole and in part, a service is billed for."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billing.money import ZERO, round_to, times
from billing.rating.proration import factor
from customers.periods import (
    Interval,
    Period,
    Schedule,
    add_periods,
    next_boundary,
    period_containing,
    periods_between,
    whole_periods,
)

STUB_PLACES = 9
StubBase = Literal["anchored", "subtract_from_boundary"]

_MONTH = Interval("month")
_ONE = Decimal(1)


def billing_cycles(
    interval: Interval,
    anchor_day: int | None,
    start: datetime,
    target: datetime,
    timezone: str,
    *,
    end: datetime | None = None,
    stub_base: StubBase = "anchored",
) -> Decimal:
    """Count the cycles billed in advance, from the start up to the boundary after a target, or to the end.

    A stub at either end counts as its days over the cycle it lies in, to nine places. `stub_base`
    "subtract_from_boundary" measures the first stub over the interval counted back from its end, which
    differs where that day was clamped to a short month. 0 when the target lies before the start.
    """
    schedule = Schedule(interval, start, timezone, anchor_day=anchor_day)
    until = next_boundary(schedule, target, ended_at=end)
    if target < start or until <= start:
        return ZERO
    cycles = ZERO
    for span in periods_between(schedule, start, until):
        cycle = period_containing(schedule, span.start)
        if stub_base == "subtract_from_boundary" and span.start > cycle.start:
            cycle = Period(add_periods(cycle.end, interval, -1, timezone), cycle.end)
        cycles += _share(cycle, span, timezone)
    return cycles


def month_fraction(start: datetime, end: datetime, timezone: str) -> Decimal:
    """Count months from a start, the last one by its days over the anniversary month it lies in, to nine places."""
    whole = whole_periods(start, end, _MONTH, timezone)
    schedule = Schedule(_MONTH, start, timezone)
    cycle = Period(schedule.boundary(whole), schedule.boundary(whole + 1))
    return whole + _share(cycle, Period(cycle.start, end), timezone)


def _share(cycle: Period, span: Period, timezone: str) -> Decimal:
    share: Fraction = factor(cycle, span, timezone)
    return round_to(times(_ONE, share), STUB_PLACES)
