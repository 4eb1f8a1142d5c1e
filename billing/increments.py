"""Incremental rating: what one more line of a period costs, when earlier lines of it were billed already."""

from dataclasses import dataclass
from decimal import Decimal

from billing.money import UNROUNDED, ZERO, Precision, exact
from billing.rating.rate import HUNDRED, rate
from billing.rating.terms import Terms


@dataclass(frozen=True, slots=True)
class Increment:
    """What a line adds to its period. `net` = gross - discount + minimum_topup."""

    gross: Decimal
    discount: Decimal
    minimum_topup: Decimal
    net: Decimal


def rate_increment(
    previous: Decimal,
    line: Decimal,
    terms: Terms,
    *,
    free_units: Decimal | None = ZERO,
    previously_billed: Decimal = ZERO,
    final: bool = False,
    minimum: Decimal | None = None,
    maximum: Decimal | None = None,
    percent_off: Decimal | None = None,
    precision: Precision = UNROUNDED,
) -> Increment:
    """Price a line as price(previous + line) - price(previous), so that any split adds up to the whole.

    `previously_billed` is the net already invoiced for the period; when it isn't zero although nothing was used, the
    flat amount due at zero usage counts as billed. The discount is the percentage, then whatever lifts the period
    above `maximum`. The `final` line of a period tops it up to `minimum`. A line can be negative, where more usage is
    cheaper by volume. Gross and percentage are rounded to `precision`.
    """
    with exact():
        already = ZERO
        if previous or previously_billed:
            already = rate(previous, terms, free_units=free_units).amount
        gross = precision.round(rate(previous + line, terms, free_units=free_units).amount - already)
        discount = precision.round(gross * (percent_off or ZERO) / HUNDRED)
        discount += _above(maximum, previously_billed + gross - discount, at_most=gross - discount)
        billed = previously_billed + gross - discount
        topup = max(minimum - billed, ZERO) if final and minimum is not None else ZERO
        return Increment(gross, discount, topup, gross - discount + topup)


def _above(limit: Decimal | None, amount: Decimal, *, at_most: Decimal) -> Decimal:
    if limit is None:
        return ZERO
    return min(max(amount - limit, ZERO), max(at_most, ZERO))
