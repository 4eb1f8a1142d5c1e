"""What became of the demo's invoices: most are paid, one in part, one is credited in part."""

from datetime import datetime
from fractions import Fraction

from django.contrib.auth.models import User
from django.db.models import Q

from billing.demo.clients import MADE_ON, MIRAI, PALISADE, QUAYSIDE, TINTA
from billing.lifecycle.void import mark_paid
from billing.models import Invoice, InvoiceKind, InvoiceState
from billing.models.credit_notes import CreditReason
from billing.money import round_amount, times
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, list_creditable_lines
from billing.settlement.payments import Receipt, record_payment

SLOW_PAYERS = (MIRAI, QUAYSIDE)
HALF = Fraction(1, 2)


def settle_invoices(*, now: datetime, by: User) -> None:
    """Record what customers paid, and credit what one complained of. Safe to repeat."""
    receive_payments(now=now, by=by)
    pay_in_part(now=now, by=by)
    credit_in_part(now=now, by=by)


def receive_payments(*, now: datetime, by: User) -> None:
    """Note the invoices of a subscription's start as paid, but for the slow payers."""
    opening = Q(kind=InvoiceKind.OPENING, state=InvoiceState.FINALIZED)
    slow = Q(customer__external_id__in=SLOW_PAYERS)
    for invoice in Invoice.objects.filter(opening & ~slow, customer__metadata__has_key=MADE_ON):
        mark_paid(invoice, now=now, by=by)


def pay_in_part(*, now: datetime, by: User) -> None:
    """Have one customer pay half of its first period's invoice."""
    invoice = _first(PALISADE, InvoiceKind.CYCLE)
    if invoice is not None and not invoice.payments.exists():
        half = round_amount(times(invoice.amount_remaining, HALF), invoice.currency)
        record_payment(invoice, Receipt(half, now.date(), reference="WIRE-4711"), now=now, by=by)


def credit_in_part(*, now: datetime, by: User) -> None:
    """Credit half of the last usage line of a customer that left."""
    invoice = _first(TINTA, InvoiceKind.FINAL)
    if invoice is None or invoice.credit_notes.exists():
        return
    charged = [each for each in list_creditable_lines(invoice) if each.remaining > 0]
    if charged:
        half = round_amount(times(charged[-1].remaining, HALF), invoice.currency)
        note = draft_credit_note(
            invoice,
            {charged[-1].line.pk: half},
            reason=CreditReason.SERVICE_ISSUE,
            memo="Goodwill for the outage",
            idempotency_key="demo",
            by=by,
        )
        finalize_credit_note(note, now=now, by=by)


def _first(customer: str, kind: InvoiceKind) -> Invoice | None:
    """Return a customer's first open invoice of a kind with something to pay."""
    of = Invoice.objects.filter(customer__external_id=customer, kind=kind, state=InvoiceState.FINALIZED)
    return of.filter(amount_due__gt=0).order_by("pk").first()
