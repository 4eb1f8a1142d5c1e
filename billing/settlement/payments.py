"""Payments, reversals and refunds of invoices. Each is a new row, inserted while the invoice is locked.

An invoice's paid amount is the sum of its rows; PostgreSQL checks it. Payments are recorded here, not collected.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from billing.models import (
    CreditGrant,
    CreditNote,
    CreditNoteState,
    GrantKind,
    Invoice,
    InvoiceState,
    Payment,
    PaymentKind,
    PaymentMethod,
)
from billing.money import ZERO, format_amount, round_amount
from billing.notifications import notify, notify_payment
from billing.refusals import CannotPay
from billing.settlement.wallets import get_or_open_invoice_wallet, grant_credit, revoke_credit
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent


@dataclass(frozen=True, slots=True)
class Receipt:
    """The details of a payment or refund. `amount` is positive, in the invoice's currency."""

    amount: Decimal
    received_on: date
    method: str = PaymentMethod.BANK_TRANSFER
    reference: str = ""
    note: str = ""
    idempotency_key: str | None = None


def lock_invoice(invoice: Invoice) -> Invoice:
    """Lock an invoice's row until the transaction ends, and return it as it is now."""
    return (
        Invoice.objects.select_for_update(no_key=True, of=("self",))
        .select_related("customer", "subscription")
        .get(pk=invoice.pk)
    )


def record_payment(invoice: Invoice, receipt: Receipt, *, now: datetime, by: User | None) -> Payment:
    """Record a full or partial payment of a finalized invoice, which reduces its amount due.

    A second call with the same reference or key returns the first payment, unless that was reversed. Raises `CannotPay`
    for more than the amount due, for a reference that was recorded with another amount, and for a draft or void
    invoice.
    """
    with transaction.atomic():
        locked = lock_invoice(invoice)
        existing = _find_recorded(locked, receipt)
        if existing is not None:
            return existing
        _check_payment(locked, receipt)
        payment = Payment(
            invoice=locked,
            kind=PaymentKind.PAYMENT,
            amount=receipt.amount,
            attempt=1 + _count_attempts(locked, receipt.reference),
            **_common_columns(locked, receipt, now, by),
        )
        return _save_payment(locked, payment, now=now, by=by)


def reverse_payment(
    payment: Payment, *, reason: str, received_on: date | None = None, now: datetime, by: User | None
) -> Payment:
    """Reverse a payment or refund that bounced or was recorded by mistake, by a row of the opposite amount.

    The amount becomes due on the invoice again. If the row is already reversed, its reversal is returned. Reversing a
    refund into the wallet revokes that credit, or raises `CreditSpent` if it was spent. Raises `CannotPay` for a
    reversal, `ReasonRequired` without a reason.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for reversing the payment.")
    with transaction.atomic():
        locked = lock_invoice(payment.invoice)
        existing = Payment.objects.filter(reverses=payment).first()
        if existing is not None:
            return existing
        if payment.kind == PaymentKind.REVERSAL:
            raise CannotPay("A reversal can't be reversed. Record the payment again.")
        if payment.method == PaymentMethod.WALLET:
            _revoke_refunded_credit(payment, reason=reason, now=now, by=by)
        receipt = Receipt(-payment.amount, received_on or now.date(), payment.method, payment.reference)
        row = Payment(
            invoice=locked,
            kind=PaymentKind.REVERSAL,
            amount=-payment.amount,
            reverses=payment,
            credit_note=payment.credit_note,
            reason=reason.strip(),
            **_common_columns(locked, receipt, now, by),
        )
        return _save_payment(locked, row, now=now, by=by, reason=row.reason)


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
    `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for the refund.")
    with transaction.atomic():
        locked = lock_invoice(invoice)
        existing = _find_by_key(locked, receipt)
        if existing is not None:
            return existing
        _check_refund(locked, receipt, credit_note)
        row = Payment(
            invoice=locked,
            kind=PaymentKind.REFUND,
            amount=-receipt.amount,
            credit_note=credit_note,
            reason=reason.strip(),
            **_common_columns(locked, receipt, now, by),
        )
        return _save_payment(locked, row, now=now, by=by, reason=row.reason)


def refund_as_credit(note: CreditNote, *, now: datetime, by: User | None) -> Payment:
    """Refund the remaining refund due of a finalized credit note as prepaid credit. Once per note."""
    with transaction.atomic():
        amount = min(note.refund_due - sum_refunds(note), calculate_refund_due(lock_invoice(note.invoice)))
        receipt = Receipt(amount, now.date(), PaymentMethod.WALLET, idempotency_key=f"wallet:{note.public_id}")
        row = record_refund(note.invoice, receipt, reason=f"Credit note {note}", credit_note=note, now=now, by=by)
        grant_credit(
            get_or_open_invoice_wallet(note.invoice, by=by),
            amount,
            kind=GrantKind.CORRECTION,
            reason=f"Credit note {note}",
            reference=row.public_id,
            now=now,
            by=by,
        )
        return row


def pay_remaining_amount(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record a payment of the whole amount due; return a paid invoice unchanged. Raises as `record_payment` does."""
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if locked.state == InvoiceState.PAID:
            return locked
        receipt = Receipt(locked.amount_remaining, now.date(), PaymentMethod.OTHER, note="Marked as paid.")
        return record_payment(locked, receipt, now=now, by=by).invoice


def set_payment_state(invoice: Invoice, *, now: datetime) -> None:
    """Set a locked, finalized invoice's state to paid or finalized, by its remaining amount. The caller saves it."""
    if invoice.is_settled:
        invoice.state, invoice.paid_at = InvoiceState.PAID, invoice.paid_at or now
    else:
        invoice.state, invoice.paid_at = InvoiceState.FINALIZED, None


def sum_refunds(credit_note: CreditNote) -> Decimal:
    """Add up the refunds of a credit note, less reversed ones. Never negative."""
    total: Decimal | None = credit_note.refunds.aggregate(total=Sum("amount"))["total"]
    return -(total or ZERO)


def calculate_refund_due(invoice: Invoice) -> Decimal:
    """Calculate the amount paid or credited beyond an invoice's total, which is owed to the customer. Usually zero."""
    return max(-invoice.amount_remaining, ZERO) if invoice.finalized_at and not invoice.voided_at else ZERO


def _revoke_refunded_credit(payment: Payment, *, reason: str, now: datetime, by: User | None) -> None:
    grant = CreditGrant.objects.filter(reference=payment.public_id).select_related("wallet").first()
    if grant is None:
        raise CannotPay("The credit of this refund can't be identified. Revoke the credit in the wallet instead.")
    revoke_credit(grant, reason=reason, amount=grant.amount, now=now, by=by)


def _save_payment(invoice: Invoice, payment: Payment, *, now: datetime, by: User | None, reason: str = "") -> Payment:
    with recorded(by=by, reason=reason):
        payment.save()
        invoice.amount_paid += payment.amount
        set_payment_state(invoice, now=now)
        invoice.save(update_fields=["amount_paid", "state", "paid_at", "updated_at"])
    notify_payment(payment, now=now)
    notify(WebhookEvent.INVOICE_PAYMENT, [invoice], now=now)
    return payment


def _common_columns(invoice: Invoice, receipt: Receipt, now: datetime, by: User | None) -> dict[str, object]:
    return {
        "currency": invoice.currency,
        "received_on": receipt.received_on,
        "method": receipt.method,
        "reference": receipt.reference.strip(),
        "note": receipt.note.strip(),
        "idempotency_key": receipt.idempotency_key,
        "recorded_at": now,
        "recorded_by": by,
    }


def _find_by_key(invoice: Invoice, receipt: Receipt) -> Payment | None:
    if receipt.idempotency_key is None:
        return None
    payment = Payment.objects.filter(idempotency_key=receipt.idempotency_key).select_related("invoice").first()
    if payment is not None and payment.invoice_id != invoice.pk:
        raise CannotPay(f"This idempotency key was already used for a payment of {payment.invoice}.")
    return payment


def _find_recorded(invoice: Invoice, receipt: Receipt) -> Payment | None:
    payment = _find_by_key(invoice, receipt)
    reference = receipt.reference.strip()
    if payment is None and reference:
        unreversed = invoice.payments.filter(kind=PaymentKind.PAYMENT, reference=reference, reversed_by=None)
        payment = unreversed.select_related("invoice").first()
    if payment is not None and payment.amount != receipt.amount:
        amount = format_amount(payment.amount, invoice.currency)
        raise CannotPay(
            f"{reference or 'This payment'} is already recorded with {amount}. If that is wrong, reverse it first."
        )
    return payment


def _count_attempts(invoice: Invoice, reference: str) -> int:
    """Count the payments recorded with a reference. All are reversed, or the reference couldn't be recorded again."""
    stripped = reference.strip()
    return invoice.payments.filter(kind=PaymentKind.PAYMENT, reference=stripped).count() if stripped else 0


def _check_payment(invoice: Invoice, receipt: Receipt) -> None:
    currency, remaining_amount = invoice.currency, invoice.amount_remaining
    if invoice.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
        state = invoice.get_state_display().lower()
        raise CannotPay(f"{invoice} is {state}. Only finalized invoices can be paid.")
    if remaining_amount < 0:
        refund_due = format_amount(-remaining_amount, currency)
        raise CannotPay(f"{invoice} can't be paid: a refund of {refund_due} is due to the customer.")
    _check_amount(receipt.amount, currency)
    if receipt.amount > remaining_amount:
        amount, due = format_amount(receipt.amount, currency), format_amount(remaining_amount, currency)
        raise CannotPay(f"{amount} is more than the {due} due on {invoice}.")


def _check_refund(invoice: Invoice, receipt: Receipt, credit_note: CreditNote | None) -> None:
    refund_due, source = calculate_refund_due(invoice), str(invoice)
    if credit_note is not None:
        if credit_note.invoice_id != invoice.pk or credit_note.state != CreditNoteState.FINALIZED:
            raise CannotPay(f"{credit_note} isn't a finalized credit note of {invoice}.")
        refund_due, source = min(refund_due, credit_note.refund_due - sum_refunds(credit_note)), str(credit_note)
    _check_amount(receipt.amount, invoice.currency)
    if receipt.amount > refund_due:
        amount, due = format_amount(receipt.amount, invoice.currency), format_amount(refund_due, invoice.currency)
        raise CannotPay(f"{amount} is more than the refund of {due} due on {source}.")


def _check_amount(amount: Decimal, currency: str) -> None:
    if amount <= 0 or amount != round_amount(amount, currency):
        raise CannotPay(f"Enter a positive amount with no more decimals than {currency} allows.")
