"""How numbers are written for staff."""

from decimal import Decimal

from babel.numbers import format_decimal

LOCALE = "en_US"


def number(quantity: Decimal) -> str:
    """Write a quantity with thousands marks and all its decimals: 1,000, 0.25."""
    return format_decimal(quantity.normalize(), locale=LOCALE, decimal_quantization=False)
