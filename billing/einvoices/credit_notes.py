"""A credit note in the terms of EN 16931. Its amounts are positive: the type of the document says that it credits."""

from collections.abc import Sequence
from typing import Any

from billing.einvoices.amounts import money
from billing.einvoices.invoices import describe_breakdown, describe_delivery
from billing.einvoices.lines import describe_credited
from billing.einvoices.parties import Party, describe_buyer, describe_payment, describe_seller
from billing.einvoices.taxes import Vat
from billing.models import CreditNote, CreditNoteLine, RefundTo
from billing.money import format_amount

Terms = dict[str, Any]

CREDIT_NOTE = "381"


def describe_credit_note(
    note: CreditNote, lines: Sequence[CreditNoteLine], vat: Vat, *, seller: Party, buyer: Party
) -> Terms:
    """Describe a numbered credit note, with the VAT and the parties of its invoice."""
    timezone, currency = note.invoice.timezone, note.currency
    base, tax = note.subtotal - note.tax_included, note.tax_total + note.tax_included
    terms: Terms = {
        "BT-1": note.number,
        "BT-2": note.issued_on,
        "BT-3": CREDIT_NOTE,
        "BT-5": currency,
        "BT-10": buyer.get("buyer_reference", ""),
        "BT-13": note.invoice.po_number,
        "BT-20": _describe_effect(note),
        "BG-1": [{"BT-22": text} for text in (note.get_reason_display(), note.memo) if text],
        "BG-3": [{"BT-25": note.invoice.number, "BT-26": note.invoice.issued_on}],
        "BG-4": describe_seller(seller, vat.category),
        "BG-7": describe_buyer(buyer, vat.category),
        "BG-23": describe_breakdown(base, tax, vat, currency),
        "BG-25": [describe_credited(line, vat, timezone=timezone, currency=currency) for line in lines],
        **describe_payment(seller, number=note.number or "", currency=currency),
        **describe_delivery(
            [line.invoice_line for line in lines], vat, timezone=timezone, issued_on=note.issued_on, buyer=buyer
        ),
        "BT-106": money(base, currency),
        "BT-109": money(base, currency),
        "BT-110": money(tax, currency),
        "BT-112": money(note.total, currency),
        "BT-115": money(note.total, currency),
    }
    return {term: value for term, value in terms.items() if value not in (None, "", [])}


def _describe_effect(note: CreditNote) -> str:
    """Say what becomes of the amount: it isn't to be paid."""
    reduction = note.total - note.refund_due
    parts = [f"{format_amount(reduction, note.currency)} deducted from {note.invoice}."] if reduction else []
    if note.refund_due:
        how = "added to prepaid credit" if note.refund_to == RefundTo.WALLET else "to be refunded"
        parts.append(f"{format_amount(note.refund_due, note.currency)} {how}.")
    return " ".join(parts)
