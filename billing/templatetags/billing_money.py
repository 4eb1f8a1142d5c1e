"""Money and quantities in templates."""

from decimal import Decimal

from django import template

from billing.explanation.text import checksum as write_checksum
from billing.money import format_amount
from config.numbers import number

register = template.Library()


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Write an amount in its currency: $1,234.50."""
    return format_amount(amount, currency)


@register.filter
def quantity(value: Decimal) -> str:
    """Write a quantity in full, without trailing zeros."""
    return number(value)


@register.filter
def checksum(value: Decimal) -> str:
    """Write a checksum as 16 hexadecimal digits."""
    return write_checksum(int(value))
