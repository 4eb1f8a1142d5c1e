"""How numbers are written for people. Free of Django, so that invoice lines can use it."""

from decimal import Decimal


def number(quantity: Decimal) -> str:
    """Write a quantity in full, without trailing zeros: 15,000 or 0.5.

    >>> number(Decimal("15000.00"))
    '15,000'
    """
    text = f"{quantity:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
