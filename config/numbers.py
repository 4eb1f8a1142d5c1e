"""How numbers are written for people. Free of Django, so that invoice lines can use it."""

from collections.abc import Mapping
from decimal import Decimal

from babel.numbers import format_currency


def number(quantity: Decimal) -> str:
    """Write a quantity in full, without trailing zeros: 15,000 or 0.5.

    >>> number(Decimal("15000.00"))
    '15,000'
    """
    text = f"{quantity:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(amount: Decimal, currency: str) -> str:
    """Write an amount with all the decimals it has, and at least the currency's.

    >>> money(Decimal("250"), "USD"), money(Decimal("0.0025"), "USD"), money(Decimal("1000"), "JPY")
    ('$250.00', '$0.0025', '¥1,000')
    """
    return format_currency(amount.normalize(), currency, locale="en_US", decimal_quantization=False)


def write_amounts(amounts: Mapping[str, Decimal]) -> str:
    """Write amounts by currency on one line.

    >>> write_amounts({"EUR": Decimal("90"), "USD": Decimal("120.5")})
    '€90.00, $120.50'
    """
    return ", ".join(money(amount, currency) for currency, amount in sorted(amounts.items()))
