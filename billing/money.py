"""Money: exact decimals, and the one place that rounds them.

Every amount is a `Decimal` that travels beside its currency. Nothing here knows about prices or customers.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    localcontext,
)
from fractions import Fraction
from functools import cache

from babel.core import get_global
from babel.numbers import format_currency, get_currency_precision

ZERO = Decimal(0)

# Wide enough that twelve-place prices times any stored quantity stay exact; Python's default is 28 digits.
_EXACT = Context(prec=120, rounding=ROUND_HALF_UP)

# ISO 4217 minor units other than two. Babel's own table is CLDR's, which drops the minor unit of a dozen
# currencies that no longer pay in coins (RSD, ALL, IQD ...) although their invoices still carry it.
_MINOR_UNITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

# ISO 4217 codes that aren't used for payments, only in contracts and bonds: units of account, next-day funds.
_UNITS_OF_ACCOUNT = frozenset(("BOV", "CHE", "CHW", "COU", "MXV", "USN", "VED"))

_MODES = {
    "half_up": ROUND_HALF_UP,
    "ceil": ROUND_CEILING,
    "floor": ROUND_FLOOR,
}


class UnknownCurrency(ValueError):
    """The code isn't an upper-case ISO 4217 currency code, current or former."""


def exact() -> AbstractContextManager[Context]:
    """Compute with 120 digits, so that products and sums of prices and quantities lose nothing."""
    return localcontext(_EXACT)


def known_currency(currency: str) -> bool:
    """Return whether new prices can use the code: upper-case ISO 4217, legal tender somewhere today."""
    return currency in _tender()


def currency_places(currency: str) -> int:
    """Return how many decimals amounts of the currency have by ISO 4217: USD 2, JPY 0, BHD 3.

    Units of account and former currencies are included, because old invoices use them. Raises `UnknownCurrency`.
    """
    if currency in _tender() or currency in _UNITS_OF_ACCOUNT:
        return _MINOR_UNITS.get(currency, 2)
    if currency in _former():
        return get_currency_precision(currency)
    raise UnknownCurrency(f"{currency!r} is not an ISO 4217 currency code")


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """Round to the currency's precision, halves away from zero. Call once per invoice line; totals add rounded lines.

    >>> round_amount(Decimal("1.005"), "USD"), round_amount(Decimal("-0.5"), "JPY")
    (Decimal('1.01'), Decimal('-1'))
    """
    return round_to(amount, currency_places(currency))


def round_to(number: Decimal, places: int, mode: str = "half_up") -> Decimal:
    """Round to decimal places; negative places round to tens, hundreds and so on. Never returns minus zero.

    `mode` is half_up (halves away from zero), ceil, floor, or none, which doesn't round. Amounts of money always use
    half_up.

    >>> round_to(Decimal("1250"), -2), round_to(Decimal("2.1"), 0, "ceil")
    (Decimal('1300'), Decimal('3'))
    """
    if mode == "none":
        return number
    rounded = number.quantize(Decimal(1).scaleb(-places), rounding=_MODES[mode], context=_EXACT)
    # A plain zero turns -0.00 into 0.00.
    return _EXACT.add(rounded, ZERO)


def times(amount: Decimal, factor: Fraction) -> Decimal:
    """Multiply by a fraction without rounding: exactly if a decimal can be exact, else to 120 digits."""
    return _EXACT.divide(_EXACT.multiply(amount, factor.numerator), factor.denominator)


def to_decimal(number: Fraction) -> Decimal:
    """Convert a fraction to a decimal: exactly if a decimal can be exact, else to 120 digits."""
    return _EXACT.divide(number.numerator, number.denominator)


def allocate(amount: Decimal, weights: Sequence[Decimal | Fraction], places: int) -> list[Decimal]:
    """Split an amount by weight so that the parts add up to it.

    Each part is its share rounded down. The remaining units go to the largest remainders, and to the earlier part if
    remainders are equal. The amount is rounded to `places` decimals first. If all weights are zero, the parts are
    equal. Raises `ValueError` for a negative weight, and for no weights unless the amount is zero.

    >>> allocate(Decimal("10.00"), [Decimal(1), Decimal(1), Decimal(1)], 2)
    [Decimal('3.34'), Decimal('3.33'), Decimal('3.33')]
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("Weights can't be negative")
    total = round_to(amount, places)
    if not weights and total:
        raise ValueError("There is nothing to split the amount over")
    total_weight = sum((Fraction(weight) for weight in weights), Fraction(0))
    ratios = [Fraction(weight) / total_weight if total_weight else Fraction(1, len(weights)) for weight in weights]
    sign = -1 if total < 0 else 1
    parts = spread(abs(total), [Fraction(abs(total)) * ratio for ratio in ratios], places)
    return [sign * part + ZERO for part in parts]


def spread(total: Decimal, shares: Sequence[Fraction | Decimal], places: int) -> list[Decimal]:
    """Round exact shares, positive or negative, so that they add up to their rounded total.

    Raises `ValueError` unless the total has at most `places` decimals and is the rounded sum of the shares.

    >>> spread(Decimal("0.08"), [Decimal("0.026")] * 3, 2)
    [Decimal('0.03'), Decimal('0.03'), Decimal('0.02')]
    """
    unit = Fraction(Decimal(1).scaleb(-places))
    in_units = [Fraction(share) / unit for share in shares]
    floors = [share.numerator // share.denominator for share in in_units]
    remaining_units = Fraction(total) / unit - sum(floors)
    if remaining_units.denominator != 1 or not 0 <= remaining_units <= len(shares):
        raise ValueError("The total isn't the rounded sum of its shares")
    by_remainder = sorted(range(len(floors)), key=lambda i: (floors[i] - in_units[i], i))
    for i in by_remainder[: int(remaining_units)]:
        floors[i] += 1
    return [times(Decimal(units), unit) + ZERO for units in floors]


def format_amount(amount: Decimal, currency: str, locale: str = "en_US") -> str:
    """Format an amount for people, rounded to the currency: $1,234.50, -¥12, BHD 0.500."""
    return _format(round_amount(amount, currency), currency, currency_places(currency), locale)


def format_price(unit_amount: Decimal, currency: str, locale: str = "en_US") -> str:
    """Format a unit price for people with all its decimals, and at least the currency's: $0.0025."""
    exponent = unit_amount.normalize(_EXACT).as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    return _format(unit_amount, currency, max(decimals, currency_places(currency)), locale)


def _format(amount: Decimal, currency: str, places: int, locale: str) -> str:
    pattern = "¤#,##0" + ("." + "0" * places if places else "")
    # A letter code needs a space before the number, which a fixed pattern wouldn't add.
    with exact():
        text = format_currency(amount, currency, format=pattern, locale=locale, currency_digits=False)
    return text.replace(currency, currency + "\N{NO-BREAK SPACE}", 1)


@cache
def _tender() -> frozenset[str]:
    current = {code for code, _, ended, tender in _territory_currencies() if tender and ended is None}
    return frozenset(current | _MINOR_UNITS.keys())


@cache
def _former() -> frozenset[str]:
    return frozenset(code for code, _, _, tender in _territory_currencies() if tender) - _tender()


def _territory_currencies() -> Iterator[tuple[str, object, object, bool]]:
    for entries in get_global("territory_currencies").values():
        yield from entries


def money(amount: Decimal, currency: str) -> str:
    """Format an amount for machines, with its currency's decimals: "12.50", "1250" yen."""
    return f"{round_amount(amount, currency):f}"
