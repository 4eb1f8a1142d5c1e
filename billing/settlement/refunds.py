"""Refunds of credit notes and of negative invoices: paid out, or granted as prepaid credit."""

from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from billing.models import CreditNote, CreditNoteState, GrantKind, Invoice, Payment, PaymentKind, PaymentMethod
from billing.money import ZERO, format_amount
from billing.refusals import CannotPay
from billing.settlement.payments import (
    Receipt,
    check_amount,
    common_columns,
    find_by_key,
    inputs_of,
    lock_invoice,
    save_payment,
)
from billing.settlement.wallets import add_credit, get_or_open_invoice_wallet
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.refusals import ReasonRequired


def record_refund(
    invoice: Invoice,
    receipt: Receipt,
    *,
    reason: str,
    credit_note: CreditNote | None = None,
    now: datetime,
    by: User | None,
) -> Payment:
    """Record a refund to the customer: of a credit note on a paid invoice, or of a negative invoice.

    A second call with the same key returns the first refund. Raises `CannotPay` for more than the refund due,
    `ReasonRequired`, `ApprovalNeeded`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for the refund.")
    with transaction.atomic():
        locked = lock_invoice(invoice)
        existing = find_by_key(receipt, locked, locked.customer)
        if existing is not None:
            return existing
        _check_refund(locked, receipt, credit_note)
        require_approval(_describe_refund(locked, receipt, credit_note, reason), by=by)
        return _save_refund(locked, receipt, credit_note, reason=reason, now=now, by=by)


def _save_refund(
    invoice: Invoice, receipt: Receipt, credit_note: CreditNote | None, *, reason: str, now: datetime, by: User | None
) -> Payment:
    row = Payment(
        customer=invoice.customer,
        invoice=invoice,
        kind=PaymentKind.REFUND,
        amount=-receipt.amount,
        credit_note=credit_note,
        reason=reason.strip(),
        **common_columns(invoice.currency, receipt, now, by),
    )
    return save_payment(invoice, row, now=now, by=by, reason=row.reason)


def _describe_refund(invoice: Invoice, receipt: Receipt, credit_note: CreditNote | None, reason: str) -> Action:
    amount = format_amount(receipt.amount, invoice.currency)
    return Action(
        Operation.REFUND,
        [ApprovalKind.REFUND],
        [credit_note or invoice],
        inputs_of(receipt, reason),
        title=f"Record a refund of {amount} to {invoice.customer} for {credit_note or invoice}",
        effect=f"{amount} counts as paid back to {invoice.customer}.",
        amounts={invoice.currency: receipt.amount},
    )


def refund_as_credit(note: CreditNote, *, now: datetime, by: User | None) -> Payment:
    """Refund the remaining refund due of a finalized credit note as prepaid credit. Once per note.

    It is a part of finalizing the note, and so approved with it.
    """
    with transaction.atomic():
        locked = lock_invoice(note.invoice)
        amount = min(note.refund_due - sum_refunds(note), calculate_refund_due(locked))
        receipt = Receipt(amount, now.date(), PaymentMethod.WALLET, idempotency_key=f"wallet:{note.public_id}")
        if existing := find_by_key(receipt, locked, locked.customer):
            return existing
        _check_refund(locked, receipt, note)
        row = _save_refund(locked, receipt, note, reason=f"Credit note {note}", now=now, by=by)
        add_credit(
            get_or_open_invoice_wallet(note.invoice, by=by),
            amount,
            kind=GrantKind.CORRECTION,
            reason=f"Credit note {note}",
            reference=row.public_id,
            now=now,
            by=by,
        )
        return row


def sum_refunds(credit_note: CreditNote) -> Decimal:
    """Add up the refunds of a credit note, less reversed ones. Never negative."""
    total: Decimal | None = credit_note.refunds.aggregate(total=Sum("amount"))["total"]
    return -(total or ZERO)


def calculate_refund_due(invoice: Invoice) -> Decimal:
    """Calculate the amount paid or credited beyond an invoice's total, which is owed to the customer. Usually zero."""
    return max(-invoice.amount_remaining, ZERO) if invoice.finalized_at and not invoice.voided_at else ZERO


def _check_refund(invoice: Invoice, receipt: Receipt, credit_note: CreditNote | None) -> None:
    refund_due, source = calculate_refund_due(invoice), str(invoice)
    if credit_note is not None:
        if credit_note.invoice_id != invoice.pk or credit_note.state != CreditNoteState.FINALIZED:
            raise CannotPay(f"{credit_note} isn't a finalized credit note of {invoice}.")
        refund_due, source = min(refund_due, credit_note.refund_due - sum_refunds(credit_note)), str(credit_note)
    check_amount(receipt.amount, invoice.currency)
    if receipt.amount > refund_due:
        amount, due = format_amount(receipt.amount, invoice.currency), format_amount(refund_due, invoice.currency)
        raise CannotPay(f"{amount} is more than the refund of {due} due on {source}.")
