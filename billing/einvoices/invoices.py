"""An invoice in the terms of EN 16931."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from billing.einvoices.amounts import money, plain
from billing.einvoices.lines import days_of, describe_line
from billing.einvoices.parties import Party, describe_address, describe_buyer, describe_payment, describe_seller
from billing.einvoices.taxes import Vat, find_vat
from billing.lines import split_lines
from billing.models import Invoice, InvoiceLine, LineKind
from billing.money import ZERO
from customers.kinds import TaxCategory

Terms = dict[str, Any]

INVOICE = "380"
DISCOUNT = "95"


def describe_invoice(invoice: Invoice, lines: Sequence[InvoiceLine], vat: Vat, *, seller: Party, buyer: Party) -> Terms:
    """Describe a numbered invoice. Its parties are given, because a draft's are those of today.

    Discounts stay on the level of the document, as on the PDF. If prices include tax, the standard wants prices without
    it: each line's price is then what remains after its discounts and its tax.
    """
    charges, adjustments = split_lines(lines)
    is_net = bool(invoice.tax_included)
    timezone, currency = invoice.timezone, invoice.currency
    terms: Terms = {
        "BT-1": invoice.number,
        "BT-2": invoice.issued_on,
        "BT-3": INVOICE,
        "BT-5": currency,
        "BT-9": invoice.due_on,
        "BG-4": describe_seller(seller, vat.category),
        "BG-7": describe_buyer(buyer, vat.category),
        "BG-25": [describe_line(line, vat, timezone=timezone, currency=currency, is_net=is_net) for line in charges],
        **_describe_references(invoice, seller, buyer),
        **describe_payment(seller, number=invoice.number or "", currency=currency),
        **describe_delivery(charges, vat, timezone=timezone, issued_on=invoice.issued_on, buyer=buyer),
        **_describe_totals(invoice, [] if is_net else adjustments, vat),
    }
    return {term: value for term, value in terms.items() if value not in (None, "", [])}


def find_invoice_vat(invoice: Invoice, lines: Sequence[InvoiceLine], buyer: Party) -> Vat | None:
    """Find the VAT of an invoice, or `None` if it isn't known."""
    return find_vat(
        lines,
        treatment=invoice.tax_treatment,
        note=invoice.tax_note,
        untaxed=buyer.get("untaxed_category", ""),
        is_zero=not taxable(invoice),
    )


def taxable(invoice: Invoice) -> Decimal:
    """Return the amount without tax (BT-109)."""
    return invoice.subtotal - invoice.discount_total - invoice.tax_included


def describe_delivery(
    lines: Sequence[InvoiceLine], vat: Vat, *, timezone: str, issued_on: date | None, buyer: Party
) -> Terms:
    """State the days that the lines are about (BG-14), the last of which counts as the day of delivery (BT-72).

    Late usage is about earlier days than the invoice's period. Lines without a period are delivered on the day of
    issue. An intra-Community supply states the place, too.
    """
    days = [period for line in lines if (period := days_of(line, timezone)) is not None]
    terms: Terms = {"BT-72": issued_on}
    if days:
        last = max(last for _, last in days)
        terms = {"BT-72": last, "BT-73": min(first for first, _ in days), "BT-74": last}
    if vat.category == TaxCategory.INTRA_COMMUNITY:
        terms["BG-13"] = {"name": buyer["name"]} | describe_address(buyer)
    return terms


def describe_breakdown(base: Decimal, tax: Decimal, vat: Vat, currency: str) -> list[Terms]:
    """State the taxed amount and the tax (BG-23): one group, since all lines have the same VAT."""
    terms: Terms = {
        "BT-116": money(base, currency),
        "BT-117": money(tax, currency),
        "BT-118": vat.category.value,
        "BT-119": plain(vat.rate),
    }
    terms |= {"BT-120": vat.reason} if vat.reason else {}
    return [terms | ({"BT-121": vat.code} if vat.code else {})]


def _describe_references(invoice: Invoice, seller: Party, buyer: Party) -> Terms:
    notes = [invoice.memo, f"Replaces invoice {invoice.replaces.number}." if invoice.replaces else ""]
    return {
        "BT-10": buyer.get("buyer_reference", ""),
        "BT-13": invoice.po_number,
        "BT-20": seller.get("payment_terms", ""),
        "BG-1": [{"BT-22": note} for note in notes if note],
    }


def _describe_totals(invoice: Invoice, adjustments: Sequence[InvoiceLine], vat: Vat) -> Terms:
    """State allowances, charges, tax and totals. Prepaid credit counts as paid; a negative invoice becomes credit."""
    currency = invoice.currency
    discounts = [line for line in adjustments if line.kind == LineKind.DISCOUNT]
    allowed = sum((-line.amount for line in discounts if line.amount < 0), ZERO)
    charged = sum((line.amount for line in discounts if line.amount > 0), ZERO)
    base, tax = taxable(invoice), invoice.tax_total + invoice.tax_included
    return {
        "BG-20": [_describe_discount(line, vat, currency) for line in discounts if line.amount < 0],
        "BG-21": [_describe_discount(line, vat, currency) for line in discounts if line.amount > 0],
        "BG-23": describe_breakdown(base, tax, vat, currency),
        "BT-106": money(base + allowed - charged, currency),
        "BT-107": money(allowed, currency) if allowed else None,
        "BT-108": money(charged, currency) if charged else None,
        "BT-109": money(base, currency),
        "BT-110": money(tax, currency),
        "BT-112": money(invoice.total, currency),
        "BT-113": money(invoice.credits_applied, currency) if invoice.credits_applied else None,
        "BT-115": money(invoice.amount_due, currency),
    }


def _describe_discount(line: InvoiceLine, vat: Vat, currency: str) -> Terms:
    terms = {
        "amount": money(abs(line.amount), currency),
        "reason": line.description,
        "vat_category_code": vat.category.value,
    }
    terms |= {"reason_code": DISCOUNT} if line.amount < 0 else {}
    return terms if vat.rate_text is None else terms | {"vat_rate": vat.rate_text}
