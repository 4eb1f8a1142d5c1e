"""Format the dates (in the customer's time zone), quantities and unit prices of invoice lines."""

from datetime import date
from decimal import Decimal
from functools import lru_cache

from billing.money import format_price
from customers.periods import Period


@lru_cache(maxsize=4096)  # the lines of a run's invoices share a few periods
def dates(period: Period, timezone: str) -> str:
    """Format a period's days, including the last one: 1–30 Sep 2026, 15 Sep – 14 Oct 2026."""
    first, last = period.days(timezone)
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(last)}"
    if first.year == last.year:
        return f"{first.day} {first:%b} – {day(last)}"
    return f"{day(first)} – {day(last)}"


def day(when: date) -> str:
    """Format a day: 1 Sep 2026."""
    return f"{when.day} {when:%b %Y}"


def plain(quantity: Decimal) -> str:
    """Write a number for a machine: no exponent, no trailing zeros."""
    text = f"{quantity:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def unit(singular: str, plural: str, quantity: Decimal) -> str:
    """Return the unit of a quantity with a space before it, or an empty string for a feature without units."""
    name = singular if quantity == 1 else plural
    return f" {name}" if name else ""


@lru_cache(maxsize=4096)  # a run's invoices share a few prices, and locale formatting is slow
def at_price(unit_amount: Decimal, currency: str) -> str:
    """Format a unit price with all its decimals: $0.002."""
    return format_price(unit_amount, currency)
