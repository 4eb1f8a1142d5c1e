"""Proration: what part of a recurring fee a part of its period costs. Usage is never prorated.

Lengths are calendar days in the customer's time zone, whatever the clock does on them. The day of a change belongs
to the new state and the day of termination isn't charged, so the charge and the credit of a day never overlap.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from billing.money import ZERO, Precision, allocate, exact, round_amount, times
from customers.periods import Period, local_date

_ONE_DAY = timedelta(days=1)
_NOTHING, _WHOLE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Rules:
    """How lengths are measured; the defaults are this product's.

    `unit` "second" measures elapsed time; "fixed_month_days" counts every month as `days_in_month` days, and takes
    these for the length of the period. The others are for fees that come from systems which count days otherwise:
    `service_end_day` "inclusive" charges the last day, `change_day` "old" leaves the first day of a service to its
    predecessor, `period_end_day` "inclusive" adds a day to both counts.
    """

    unit: Literal["day", "second", "fixed_month_days"] = "day"
    days_in_month: int = 30
    service_end_day: Literal["excluded", "inclusive"] = "excluded"
    change_day: Literal["new", "old"] = "new"
    period_end_day: Literal["excluded", "inclusive"] = "excluded"


BY_DAY = Rules()
BY_SECOND = Rules(unit="second")


def calendar_days(start: datetime, end: datetime, timezone: str) -> int:
    """Count the local midnights from one moment to another: a day of 23 hours is a day. Negative when reversed."""
    return (local_date(end, timezone) - local_date(start, timezone)).days


def fixed_month_days(start: date, end: date, days_in_month: int) -> int:
    """Count the days between two dates as if every month had the same number of them."""
    months = (end.year - start.year) * 12 + end.month - start.month
    return months * days_in_month + min(end.day, days_in_month) - min(start.day, days_in_month)


def factor(period: Period, service: Period, timezone: str, rules: Rules = BY_DAY) -> Fraction:
    """Return how much of a period a service takes up, exactly, from 0 to 1.

    Only what lies inside the period counts. A period that begins and ends on one local day is measured in elapsed
    time, having no days.
    """
    if rules.unit == "second" or not calendar_days(period.start, period.end, timezone):
        return _elapsed_factor(period, service)
    start, end = local_date(service.start, timezone), local_date(service.end, timezone)
    if rules.change_day == "old":
        start += _ONE_DAY
    if rules.service_end_day == "inclusive":
        end += _ONE_DAY
    first, last = local_date(period.start, timezone), local_date(period.end, timezone)
    start, end = max(start, first), min(end, last)
    if start >= end:
        return _NOTHING
    if rules.unit == "fixed_month_days":
        return min(Fraction(fixed_month_days(start, end, rules.days_in_month), rules.days_in_month), _WHOLE)
    extra = 1 if rules.period_end_day == "inclusive" else 0
    return Fraction((end - start).days + extra, (last - first).days + extra)


def prorate_exact(amount: Decimal, period: Period, service: Period, timezone: str, rules: Rules = BY_DAY) -> Decimal:
    """Return the part of a period's amount that a service costs, unrounded."""
    return times(amount, factor(period, service, timezone, rules))


def prorate(
    amount: Decimal, period: Period, service: Period, timezone: str, currency: str, rules: Rules = BY_DAY
) -> Decimal:
    """Return the part of a period's amount that a service costs, rounded once to the currency."""
    return round_amount(prorate_exact(amount, period, service, timezone, rules), currency)


def prorate_parts(
    amount: Decimal, period: Period, cuts: Iterable[datetime], timezone: str, currency: str
) -> list[Decimal]:
    """Split a period's amount at moments inside it, by days, so that the parts add up to it to the smallest unit."""
    inside = sorted({cut.astimezone(UTC) for cut in cuts if period.start < cut < period.end})
    edges = [period.start, *inside, period.end]
    spans = [Period(start, end) for start, end in pairwise(edges)]
    return allocate(amount, [factor(period, span, timezone) for span in spans], currency)


def cap_credit(potential: Decimal, original: Decimal, previous_credits: Decimal) -> Decimal:
    """Limit a credit to what is left of the amount that it gives back. Never below zero."""
    with exact():
        return max(min(potential, original - previous_credits), ZERO)


@dataclass(frozen=True, slots=True)
class Change:
    """The money of a plan change: a credit (never above zero), a charge, and their sum."""

    credit: Decimal
    charge: Decimal

    @property
    def net(self) -> Decimal:
        with exact():
            return self.credit + self.charge


def plan_change(
    period: Period,
    change_at: datetime,
    old_amount: Decimal,
    new_amount: Decimal,
    timezone: str,
    precision: Precision,
    *,
    new_cycle_starts_at_change: bool = False,
    already_credited: Decimal = ZERO,
    rules: Rules = BY_DAY,
) -> Change:
    """Credit the old fee and charge the new one for what is left of a period, each rounded once.

    A new cycle that starts with the change is charged in full. The credit never exceeds what of the old fee hasn't
    been credited before.
    """
    left = factor(period, Period(change_at, period.end), timezone, rules)
    unused = precision.round(times(old_amount, left))
    charge = precision.round(new_amount if new_cycle_starts_at_change else times(new_amount, left))
    with exact():
        return Change(ZERO - cap_credit(unused, old_amount, already_credited), charge)


def _elapsed_factor(period: Period, service: Period) -> Fraction:
    whole = period.end - period.start
    part = min(period.end, service.end) - max(period.start, service.start)
    if part <= timedelta(0) or whole <= timedelta(0):
        return _NOTHING
    microsecond = timedelta.resolution
    return Fraction(part // microsecond, whole // microsecond)
