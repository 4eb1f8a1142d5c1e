"""Payments and a credit note for the demo's invoices: most are paid, one in part, one is credited in part."""

from datetime import datetime, timedelta
from fractions import Fraction

from django.contrib.auth.models import User
from django.db.models import Q

from billing.demo.customers import MADE_ON, MIRAI, PALISADE, QUAYSIDE, TINTA
from billing.lifecycle.void import mark_paid
from billing.models import Invoice, InvoiceKind, InvoiceState
from billing.models.credit_notes import CreditReason
from billing.money import round_amount, times
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, list_creditable_lines
from billing.settlement.payments import Receipt, record_payment

SLOW_PAYERS = (MIRAI, QUAYSIDE)
PAID_AFTER = timedelta(days=12)
HALF = Fraction(1, 2)


def settle_invoices(*, now: datetime, by: User) -> None:
    """Record the customers' payments, and a credit note for one customer. Safe to repeat."""
    record_full_payments(now=now, by=by)
    record_partial_payment(now=now, by=by)
    credit_partially(now=now, by=by)


def record_full_payments(*, now: datetime, by: User) -> None:
    """Record payments of opening invoices, and of later ones after some days, except those of slow payers."""
    opening, later = Q(kind=InvoiceKind.OPENING), Q(kind=InvoiceKind.CYCLE, issued_at__lte=now - PAID_AFTER)
    payable = Invoice.objects.filter(opening | later, state=InvoiceState.FINALIZED, customer__metadata__has_key=MADE_ON)
    slow = Q(customer__external_id__in=SLOW_PAYERS) | Q(customer__external_id=PALISADE, kind=InvoiceKind.CYCLE)
    for invoice in payable.exclude(slow).order_by("pk"):
        paid_at = invoice.issued_at + PAID_AFTER if invoice.issued_at else now
        mark_paid(invoice, now=min(paid_at, now), by=by)


def record_partial_payment(*, now: datetime, by: User) -> None:
    """Record a payment of half of one customer's first period."""
    invoice = _find_first_unpaid(PALISADE, InvoiceKind.CYCLE)
    if invoice is not None and not invoice.payments.exists():
        half = round_amount(times(invoice.amount_remaining, HALF), invoice.currency)
        record_payment(invoice, Receipt(half, now.date(), reference="WIRE-4711"), now=now, by=by)


def credit_partially(*, now: datetime, by: User) -> None:
    """Credit half of the last usage line of a customer that canceled."""
    invoice = _find_first_unpaid(TINTA, InvoiceKind.FINAL)
    if invoice is None or invoice.credit_notes.exists():
        return
    creditable_lines = [creditable for creditable in list_creditable_lines(invoice) if creditable.remaining > 0]
    if creditable_lines:
        creditable = creditable_lines[-1]
        half = round_amount(times(creditable.remaining, HALF), invoice.currency)
        note = draft_credit_note(
            invoice,
            {creditable.line.pk: half},
            reason=CreditReason.SERVICE_ISSUE,
            memo="Goodwill for the outage",
            idempotency_key="demo",
            by=by,
        )
        finalize_credit_note(note, now=now, by=by)


def _find_first_unpaid(customer: str, kind: InvoiceKind) -> Invoice | None:
    """Return a customer's first finalized invoice of a kind with an amount due."""
    invoices = Invoice.objects.filter(customer__external_id=customer, kind=kind, state=InvoiceState.FINALIZED)
    return invoices.filter(amount_due__gt=0).order_by("pk").first()
