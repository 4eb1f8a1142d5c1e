"""Exact numbers: fractions, read from text and rounded only by rule."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from billing.proofs.rater.kinds import Rounding

ZERO = Fraction(0)
MANY_DIGITS = Context(prec=200, rounding=ROUND_HALF_UP)


def read(value: object) -> Fraction:
    """Read a number from its text."""
    return Fraction(str(value))


def read_optional(value: object) -> Fraction | None:
    return None if value is None else read(value)


def write(number: Fraction) -> str:
    """Write a number as a decimal: exactly if it has an end, else with 200 digits."""
    return format(MANY_DIGITS.divide(Decimal(number.numerator), Decimal(number.denominator)), "f")


def round_to(number: Fraction, places: int, mode: Rounding = Rounding.HALF_UP) -> Fraction:
    """Round to decimal places, by default halves away from zero. Negative places round to tens, hundreds and so on.

    >>> round_to(read("1.005"), 2), round_to(read("-0.5"), 0), round_to(read("2.1"), 0, Rounding.CEIL)
    (Fraction(101, 100), Fraction(-1, 1), Fraction(3, 1))
    """
    if mode == Rounding.NONE:
        return number
    units = number * Fraction(10) ** places
    if mode == Rounding.FLOOR:
        whole = units.numerator // units.denominator
    elif mode == Rounding.CEIL:
        whole = -(-units.numerator // units.denominator)
    else:
        size = abs(units) + Fraction(1, 2)
        whole = (size.numerator // size.denominator) * (-1 if units < 0 else 1)
    return Fraction(whole) / Fraction(10) ** places


def split(total: Fraction, shares: Sequence[Fraction], places: int) -> list[Fraction]:
    """Round shares so that they add up to their rounded total: rounded down, the rest to the largest remainders.

    Of equal remainders, the earlier share is first. 0.08 over three shares of 0.026 is 0.03, 0.03 and 0.02.
    """
    rounded = [round_to(share, places, Rounding.FLOOR) for share in shares]
    unit = Fraction(1) / Fraction(10) ** places
    units_left = int((total - sum(rounded, ZERO)) / unit)
    by_remainder = sorted(range(len(shares)), key=lambda place: (rounded[place] - shares[place], place))
    for place in by_remainder[:units_left]:
        rounded[place] += unit
    return rounded
