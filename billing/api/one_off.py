"""Create and update one-off invoices from API requests."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request

from billing.api.coupons import coupons_named
from billing.api.serializers.one_off import InvoiceUpdate, OneOffIn
from billing.api.taxes import rates_named
from billing.lifecycle.extra_lines import set_extra_lines
from billing.lifecycle.finalize import finalize
from billing.lifecycle.one_off import Item, OneOffTerms, amend, create_one_off, update_one_off
from billing.models import Invoice
from billing.money import format_amount
from config.api.errors import invalid
from config.api.views import get_or_404, read_body
from config.approvals.gate import ApprovalNeeded
from config.approvals.models import Approval
from config.approvals.requests import request_approval
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


def create(request: Request) -> Invoice | Approval:
    """Create the invoice of a request, and finalize it if requested. 400 if its totals differ from the body's.

    If finalizing it needs approval, the draft is created, and the request for approval is returned.
    """
    body, now = read_body(request, OneOffIn), timezone.now()
    customer = get_or_404(Customer.objects.all(), "customer", public_id=body["customer_id"])
    items = read_items(body.get("line_items")) or [
        Item(body.get("description") or "One-off charge", None, amount=body["subtotal"])
    ]
    terms = OneOffTerms(
        memo=body.get("description") or "",
        po_number=body.get("po_number") or "",
        due_at=body.get("due_date"),
        metadata=body.get("metadata"),
        is_credit=body["invoice_type"] == "CREDIT",
        coupons=coupons_named(body.get("coupons") or []),
        tax_rates=rates_named(body.get("tax_rates") or []),
    )
    key = body.get("idempotency_key") or None
    with transaction.atomic():
        invoice = create_one_off(
            customer, items, currency=body["currency"].upper(), terms=terms, external_reference=key, now=now, by=None
        )
        _check_totals(invoice, body)
        try:
            return finalize(invoice, now=now) if body["invoice_status"] == "FINALIZED" else invoice
        except ApprovalNeeded as needed:
            return request_approval(needed, now=now)


def _check_totals(invoice: Invoice, body: dict[str, Any]) -> None:
    """Refuse an invoice whose totals differ from those that the client expects."""
    if body["subtotal"] != invoice.subtotal:
        actual = format_amount(invoice.subtotal, invoice.currency)
        raise invalid({"subtotal": [f"The line items amount to {actual}."]})
    if body.get("total") not in (None, invoice.subtotal, invoice.total):
        actual = format_amount(invoice.total, invoice.currency)
        additions = "discounts and taxes" if invoice.discount_total else "taxes"
        raise invalid({"total": [f"With {additions}, the line items amount to {actual}."]})


def update(request: Request, invoice: Invoice) -> Invoice:
    """Update the fields that the request contains; the others keep their values."""
    body, now = read_body(request, InvoiceUpdate), timezone.now()
    memo = body.get("description")
    with transaction.atomic():
        if invoice.subscription_id is not None and "line_items" in body:
            set_extra_lines(invoice, read_items(body["line_items"]), now=now, by=None)
        elif "line_items" in body:
            if not body["line_items"]:
                raise invalid({"line_items": ["A one-off invoice needs at least one line item."]})
            terms = OneOffTerms(
                memo=invoice.memo if memo is None else memo,
                po_number=invoice.po_number,
                due_at=body.get("due_date") or invoice.due_at,
                series=invoice.series,
                is_credit=invoice.total < 0,
            )
            update_one_off(invoice, read_items(body["line_items"]), terms=terms, now=now, by=None)
        changes = {
            "due_at": body.get("due_date"),
            "memo": memo,
            "po_number": body.get("po_number"),
            "metadata": body.get("metadata"),
        }
        if any(value is not None for value in changes.values()):
            return amend(invoice, **changes, now=now, by=None)
        return invoice


def read_items(lines: Sequence[dict[str, Any]] | None) -> list[Item]:
    """Translate a request's line items."""
    return [
        Item(
            description=line["display_name"],
            unit_amount=line.get("unit_amount"),
            quantity=line.get("quantity") or Decimal(1),
            period=read_period(line),
            amount=line.get("amount") if line.get("unit_amount") is None else None,
        )
        for line in lines or ()
    ]


def read_period(line: dict[str, Any]) -> Period | None:
    """Return the period of a request's line item, if it has one."""
    return Period(line["period_start"], line["period_end"]) if line.get("period_start") else None
