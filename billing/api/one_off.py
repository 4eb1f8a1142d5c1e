"""Reads what the API asks of one-off invoices, and has it done."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request

from billing.api.serializers.one_off import InvoiceUpdate, OneOffIn
from billing.lifecycle.finalize import finalize
from billing.lifecycle.one_off import Item, Terms, amend, create_one_off, update_one_off
from billing.models import Invoice
from billing.money import format_amount
from config.api.errors import invalid
from config.api.views import get_or_404, read_body
from customers.models import Customer
from customers.periods import Period

ONE_OFF_EXAMPLE = {
    "customer_id": "cust_1",
    "currency": "USD",
    "subtotal": "500.00",
    "total": "500.00",
    "amount_due": "500.00",
    "line_items": [{"display_name": "Setup", "quantity": "2", "unit_amount": "250"}],
    "idempotency_key": "order-7",
}


def create(request: Request) -> Invoice:
    """Write the invoice that a request asks for; finalize it if it says so. 400 where its totals are others."""
    asked, now = read_body(request, OneOffIn), timezone.now()
    customer = get_or_404(Customer.objects.all(), "customer", public_id=asked["customer_id"])
    items = items_of(asked.get("line_items")) or [
        Item(asked.get("description") or "One-off charge", None, amount=asked["subtotal"])
    ]
    terms = Terms(
        memo=asked.get("description") or "",
        due_at=asked.get("due_date"),
        metadata=asked.get("metadata"),
        is_credit=asked["invoice_type"] == "CREDIT",
    )
    key = asked.get("idempotency_key") or None
    with transaction.atomic():
        invoice = create_one_off(
            customer, items, currency=asked["currency"].upper(), terms=terms, external_reference=key, now=now, by=None
        )
        _compare(invoice, asked)
        return finalize(invoice, now=now) if asked["invoice_status"] == "FINALIZED" else invoice


def _compare(invoice: Invoice, asked: dict[str, Any]) -> None:
    """Refuse an invoice that comes to something else than the client thinks."""
    if asked["subtotal"] != invoice.subtotal:
        come_to = format_amount(invoice.subtotal, invoice.currency)
        raise invalid({"subtotal": [f"The items come to {come_to}."]})
    if asked.get("total") not in (None, invoice.subtotal, invoice.total):
        come_to = format_amount(invoice.total, invoice.currency)
        raise invalid({"total": [f"With taxes the items come to {come_to}."]})


def update(request: Request, invoice: Invoice) -> Invoice:
    """Change what a request names of an invoice; the rest stays."""
    asked, now = read_body(request, InvoiceUpdate), timezone.now()
    memo = asked.get("description")
    with transaction.atomic():
        if asked.get("line_items"):
            terms = Terms(
                memo=invoice.memo if memo is None else memo,
                due_at=asked.get("due_date") or invoice.due_at,
                series=invoice.series,
                is_credit=invoice.total < 0,
            )
            update_one_off(invoice, items_of(asked["line_items"]), terms=terms, now=now, by=None)
        changes = {"due_at": asked.get("due_date"), "memo": memo, "metadata": asked.get("metadata")}
        if any(value is not None for value in changes.values()):
            return amend(invoice, **changes, now=now, by=None)
        return invoice


def items_of(lines: Sequence[dict[str, Any]] | None) -> list[Item]:
    """Read the items of a request."""
    return [
        Item(
            description=line["display_name"],
            unit_amount=line.get("unit_amount"),
            quantity=line.get("quantity") or Decimal(1),
            period=Period(line["period_start"], line["period_end"]) if line.get("period_start") else None,
            amount=line.get("amount") if line.get("unit_amount") is None else None,
        )
        for line in lines or ()
    ]
