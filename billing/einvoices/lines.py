"""The lines of an electronic invoice (BG-25)."""

from datetime import date
from decimal import Decimal
from typing import Any

from billing.einvoices.amounts import is_product, money, plain
from billing.einvoices.taxes import Vat
from billing.models import CreditNoteLine, InvoiceLine
from config.numbers import number
from customers.periods import INSTANT, local_date

Terms = dict[str, Any]

ONE = "C62"
# Codes of units (UN/ECE Recommendation 20) by the names that features give their units.
UNITS = {
    **dict.fromkeys(("byte", "bytes"), "AD"),
    **dict.fromkeys(("kb", "kilobyte"), "2P"),
    **dict.fromkeys(("mb", "megabyte"), "4L"),
    **dict.fromkeys(("gb", "gigabyte"), "E34"),
    **dict.fromkeys(("tb", "terabyte"), "E35"),
    **dict.fromkeys(("second", "sec"), "SEC"),
    **dict.fromkeys(("minute", "min"), "MIN"),
    **dict.fromkeys(("hour", "h"), "HUR"),
    "day": "DAY",
    "week": "WEE",
    "month": "MON",
    "year": "ANN",
    "kwh": "KWH",
    "km": "KMT",
    "kg": "KGM",
}
SEPARATOR = " · "


def describe_line(line: InvoiceLine, vat: Vat, *, timezone: str, currency: str, is_net: bool) -> Terms:
    """Describe one charge. With `is_net`, its price contains tax, which is taken out together with its discounts.

    The quantity times the price is always the amount: a line of tiers, or of a price with free units, states what it
    charges for all of its units. 12,500 units for 37.50 are 12,500 times 37.50 per 12,500 units.
    """
    amount = line.amount - line.discount_amount - line.tax_included if is_net else line.amount
    name, _, detail = line.description.partition(SEPARATOR)
    unit = "" if line.feature is None else line.feature.unit_singular
    notes = _list_notes(line, is_net=is_net, currency=currency)
    return {
        "BT-126": str(line.position),
        **({"BT-127-00": [{"BT-127": " ".join(notes)}]} if notes else {}),
        **price_of(line.billable_quantity, None if is_net else line.unit_amount, amount),
        "BT-130": UNITS.get(unit.strip().lower(), ONE),
        "BT-131": money(amount, currency),
        **_describe_period(line, timezone),
        **_describe_item(name, detail, vat),
    }


def describe_credited(line: CreditNoteLine, vat: Vat, *, timezone: str, currency: str) -> Terms:
    """Describe a credited amount without its taxes."""
    amount = line.amount - line.tax_included
    name, _, detail = line.description.partition(SEPARATOR)
    return {
        "BT-126": str(line.position),
        **price_of(Decimal(1), None, amount),
        "BT-130": ONE,
        "BT-131": money(amount, currency),
        **_describe_period(line.invoice_line, timezone),
        **_describe_item(name, detail, vat),
    }


def price_of(quantity: Decimal, unit_amount: Decimal | None, amount: Decimal) -> Terms:
    """State the quantity and the price of an amount. The standard allows no negative price, but a negative quantity.

    >>> price_of(Decimal(1000), Decimal("0.002"), Decimal("2.00"))
    {'BT-129': '1000', 'BT-146': '0.002'}
    >>> price_of(Decimal(12500), None, Decimal("37.50"))
    {'BT-129': '12500', 'BT-146': '37.5', 'BT-149': '12500'}
    >>> price_of(Decimal(1), Decimal("-20"), Decimal("-20.00"))
    {'BT-129': '-1', 'BT-146': '20'}
    >>> price_of(Decimal(0), None, Decimal("5.00"))
    {'BT-129': '1', 'BT-146': '5'}
    """
    if unit_amount is not None and is_product(quantity, unit_amount, amount):
        sign = -1 if unit_amount < 0 else 1
        return {"BT-129": plain(sign * quantity), "BT-146": plain(abs(unit_amount))}
    units = abs(quantity) or Decimal(1)
    terms = {"BT-129": plain(-units if amount < 0 else units), "BT-146": plain(abs(amount))}
    return terms if units == 1 else terms | {"BT-149": plain(units)}


def _list_notes(line: InvoiceLine, *, is_net: bool, currency: str) -> list[str]:
    notes = [f"{number(line.free_units)} of {number(line.quantity)} free of charge."] if line.free_units else []
    if is_net and line.discount_amount:
        notes.append(f"After a discount of {money(line.discount_amount, currency)} {currency}, tax included.")
    return notes


def _describe_period(line: InvoiceLine, timezone: str) -> Terms:
    days = days_of(line, timezone)
    return {} if days is None else {"BT-134": days[0], "BT-135": days[1]}


def days_of(line: InvoiceLine, timezone: str) -> tuple[date, date] | None:
    """Return the first and the last day of a line's period, if it has one."""
    if line.period_start is None or line.period_end is None:
        return None
    first = local_date(line.period_start, timezone)
    return first, max(first, local_date(line.period_end - INSTANT, timezone))


def _describe_item(name: str, detail: str, vat: Vat) -> Terms:
    terms = {"BT-153": name.strip() or "Charge", "BT-151": vat.category.value}
    terms |= {"BT-154": detail} if detail else {}
    return terms if vat.rate_text is None else terms | {"BT-152": vat.rate_text}
