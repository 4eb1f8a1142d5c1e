"""Compare a vector's expected result with the product's result: by value, never as text."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from billing.money import ZERO, exact

# Peers write unrounded quotients with the digits that their decimals had; from here on the last one is noise. Ours
# have a hundred and more.
QUOTIENT_DIGITS, OWN_QUOTIENT_DIGITS = 16, 100


def same(expected: Any, got: Any) -> bool:
    """Compare by value: numbers and instants as such, objects by the expected keys only."""
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping) and all(key in got and same(value, got[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(same(*pair) for pair in zip(expected, got, strict=True))
        )
    if expected is None or isinstance(expected, bool) or got is None or isinstance(got, bool):
        return expected is got
    wanted, actual = _scalar(expected), _scalar(got)
    if isinstance(wanted, Decimal) and isinstance(actual, Decimal):
        return _same_number(wanted, actual)
    return type(wanted) is type(actual) and bool(wanted == actual)


def _same_number(wanted: Decimal, actual: Decimal) -> bool:
    """Take numbers for the same that differ by no more than the last digit to which a quotient was written."""
    with exact():
        apart = abs(wanted - actual)
        return apart <= max(_unsure(wanted, QUOTIENT_DIGITS), _unsure(actual, OWN_QUOTIENT_DIGITS))


def _unsure(number: Decimal, digits: int) -> Decimal:
    """Give the unit of a number's last digit if it is as long as a quotient, else nothing."""
    written = number.as_tuple()
    return Decimal((0, (1,), int(written.exponent))) if len(written.digits) >= digits else ZERO


def _scalar(value: Any) -> Decimal | datetime | str:
    text = str(value)
    try:
        number = Decimal(text)
    except InvalidOperation:
        pass
    else:
        if number.is_finite():
            return number
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text
