"""Money, quantities and the status of invoices in templates."""

from decimal import Decimal

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from billing.explanation.status import INVOICE_COLORS
from billing.models import Invoice, status_of
from billing.money import format_amount
from config.numbers import number
from config.office.wording import badge

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
    return f"{int(value) & 0xFFFF_FFFF_FFFF_FFFF:016x}"


@register.simple_tag
def invoice_status(invoice: Invoice) -> SafeString:
    """Show an invoice's current status as a badge."""
    status = status_of(invoice, timezone.now())
    return badge(str(status.label), INVOICE_COLORS[status])
