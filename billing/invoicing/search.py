"""Search invoices as staff remember them: by number or its ending, customer, PO number, amount, issue or due date."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Q, QuerySet
from django.db.models.lookups import Exact

from billing.models import Invoice
from billing.models.invoices import local_day
from billing.money import known_currency

AMOUNT = re.compile(r"[^\w\s.,-]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)[^\w\s.,-]?\Z")
DECIMAL_COMMA = re.compile(r"\D?\d+,\d{1,2}\D?\Z")
DAY_FORMATS = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%d.%m.%Y")


def search_invoices(invoices: QuerySet[Invoice], text: str) -> QuerySet[Invoice]:
    """Keep the invoices that match every word of a search, or were issued or are due on the day it names."""
    day = parse_day(text)
    if day is not None:
        return invoices.filter(_on_day("issued_at", day) | _on_day("due_at", day))
    for word in text.split():
        invoices = invoices.filter(_matches(word))
    return invoices


def parse_day(text: str) -> date | None:
    """Read a day such as 2026-10-31, 31 Oct 2026 or 31.10.2026."""
    for day_format in DAY_FORMATS:
        try:
            return datetime.strptime(text.strip(), day_format).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None


def parse_amount(text: str) -> Decimal | None:
    """Read an amount with or without its currency's symbol.

    >>> parse_amount("€1,234.50"), parse_amount("360,27"), parse_amount("INV-7")
    (Decimal('1234.50'), Decimal('360.27'), None)
    """
    plain = text.replace(",", ".") if DECIMAL_COMMA.match(text) else text
    match = AMOUNT.match(plain)
    return Decimal(match[1].replace(",", "")) if match and len(match[1]) <= 20 else None


def _matches(word: str) -> Q:
    if len(word) == 3 and known_currency(word.upper()):
        return Q(currency=word.upper()) | _text_matches(word)
    amount, day = parse_amount(word), parse_day(word)
    matches = _text_matches(word)
    if amount is not None:
        matches |= Q(total=amount) | Q(amount_due=amount)
    if day is not None:
        matches |= _on_day("issued_at", day) | _on_day("due_at", day)
    return matches


def _text_matches(word: str) -> Q:
    names = ("number__icontains", "public_id__iendswith", "po_number__icontains")
    customers = ("customer__name__icontains", "customer__external_id__icontains")
    matches = Q()
    for lookup in (*names, *customers):
        matches |= Q((lookup, word))
    return matches


def _on_day(column: str, day: date) -> Q:
    """Match the day in the invoice's time zone. The day in UTC is at most one earlier or later."""
    start = datetime.combine(day, time(), UTC)
    near = Q((f"{column}__gte", start - timedelta(days=1)), (f"{column}__lt", start + timedelta(days=2)))
    return near & Q(Exact(local_day(column), day))
