"""Plan changes with several lines or under a discount: what each line is credited or charged for the days left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billing.money import ZERO, Precision, exact, times
from billing.rating.proration import BY_DAY, Rules, calendar_days, factor
from billing.rating.rate import HUNDRED
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A line of the plan that is left (`credit`) or joined (`charge`).

    `own_period_days` is the length of the line's own interval where that isn't the period's, such as a yearly
    fee on a monthly invoice.
    """

    kind: Literal["recurring", "one_time", "usage"]
    direction: Literal["credit", "charge"]
    amount: Decimal
    own_period_days: int | None = None


@dataclass(frozen=True, slots=True)
class ChangedLines:
    """The amounts of a change's lines, and their sum."""

    amounts: tuple[Decimal, ...]

    @property
    def net(self) -> Decimal:
        with exact():
            return sum(self.amounts, ZERO)


def change_lines(
    period: Period,
    change_at: datetime,
    lines: Iterable[ChangeLine],
    timezone: str,
    precision: Precision,
    rules: Rules = BY_DAY,
) -> ChangedLines:
    """Work out the lines of a change: credits negative, charges positive, each rounded once, zeros left out.

    Recurring lines count for the days left. One-time fees are charged in full and not given back. Usage has
    no part in a change: it is billed as it was used.
    """
    left = Period(max(change_at, period.start), period.end)
    amounts = (precision.round(_change_amount(line, period, left, timezone, rules)) for line in lines)
    return ChangedLines(tuple(amount for amount in amounts if amount))


@dataclass(frozen=True, slots=True)
class DiscountedChange:
    """The money of a change part by part, under a discount. Credits are zero or negative."""

    credits: tuple[Decimal, ...]
    charges: tuple[Decimal, ...]

    @property
    def net(self) -> Decimal:
        with exact():
            return sum((*self.credits, *self.charges), ZERO)


def discounted_change(
    period: Period,
    change_at: datetime,
    old_parts: Sequence[Decimal],
    new_parts: Sequence[Decimal],
    timezone: str,
    precision: Precision,
    *,
    amount_off: Decimal | None = None,
    percent_off: Decimal | None = None,
    only_difference_of: int | None = None,
    rules: Rules = BY_DAY,
) -> DiscountedChange:
    """Credit the old parts and charge the new ones for what is left of a period, both as discounted.

    An amount off spreads over the parts of either side by their share, and never exceeds them. With
    `only_difference_of` (a position) only that part counts, and only what changed of it, rounded once.
    """
    left = factor(period, Period(change_at, period.end), timezone, rules)
    old = _discounted(old_parts, amount_off, percent_off)
    new = _discounted(new_parts, amount_off, percent_off)
    if only_difference_of is not None:
        with exact():
            difference = new[only_difference_of] - old[only_difference_of]
        moved = precision.round(times(difference, left))
        return DiscountedChange((min(moved, ZERO),), (max(moved, ZERO),))
    with exact():
        return DiscountedChange(
            tuple(ZERO - precision.round(times(part, left)) for part in old),
            tuple(precision.round(times(part, left)) for part in new),
        )


def _change_amount(line: ChangeLine, period: Period, left: Period, timezone: str, rules: Rules) -> Decimal:
    if line.kind == "usage" or (line.kind == "one_time" and line.direction == "credit"):
        return ZERO
    if line.kind == "one_time":
        return line.amount
    part = factor(period, left, timezone, rules)
    if line.own_period_days is not None:
        days = calendar_days(period.start, period.end, timezone)
        part = min(part * days / line.own_period_days, Fraction(1))
    amount = times(line.amount, part)
    with exact():
        return ZERO - amount if line.direction == "credit" else amount


def _discounted(parts: Sequence[Decimal], amount_off: Decimal | None, percent_off: Decimal | None) -> list[Decimal]:
    with exact():
        whole = sum(parts, ZERO)
        if percent_off is not None:
            kept = Fraction(HUNDRED - min(percent_off, HUNDRED)) / 100
        elif amount_off is not None and whole:
            kept = 1 - Fraction(min(amount_off, whole)) / Fraction(whole)
        else:
            kept = Fraction(1)
    return [times(part, kept) for part in parts]
