"""Money and quantities in templates."""

from decimal import Decimal

from django import template

from billing.explanation.text import format_checksum
from billing.money import format_amount
from config.numbers import number

register = template.Library()


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Format an amount in its currency: $1,234.50."""
    return format_amount(amount, currency)


@register.filter
def quantity(value: Decimal) -> str:
    """Format a quantity with all its decimals."""
    return number(value)


@register.filter
def checksum(value: Decimal) -> str:
    """Format a checksum as 16 hexadecimal digits."""
    return format_checksum(int(value))
