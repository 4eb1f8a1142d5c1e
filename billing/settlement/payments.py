"""Payments: money received for an invoice, taken back, or given back. Each is a new row under the invoice's lock.

What an invoice counts as paid is the sum of its rows; PostgreSQL checks it. Outside payments are recorded here, none is
collected.
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
from billing.settlement.wallets import grant, take_back, wallet_of
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is recorded of money that moved. `amount` is above zero, in the invoice's currency."""

    amount: Decimal
    received_on: date
    method: str = PaymentMethod.BANK_TRANSFER
    reference: str = ""
    note: str = ""
    idempotency_key: str | None = None


def locked_invoice(invoice: Invoice) -> Invoice:
    """Lock an invoice's row until the transaction ends, and return it as it is now."""
    return (
        Invoice.objects.select_for_update(no_key=True, of=("self",))
        .select_related("customer", "subscription")
        .get(pk=invoice.pk)
    )


def record_payment(invoice: Invoice, receipt: Receipt, *, now: datetime, by: User | None) -> Payment:
    """Record money received for a finalized invoice, in full or in part; what is left to pay falls by it.

    A second call with the same reference or key returns the first payment, unless that was reversed. Raises `CannotPay`
    for more than is left to pay, for a reference that was recorded with another amount, and for an invoice that is a
    draft or void.
    """
    with transaction.atomic():
        locked = locked_invoice(invoice)
        known = _recorded_already(locked, receipt)
        if known is not None:
            return known
        _refuse_unpayable(locked, receipt)
        payment = Payment(
            invoice=locked,
            kind=PaymentKind.PAYMENT,
            amount=receipt.amount,
            attempt=1 + _reversed(locked, receipt.reference),
            **_common(locked, receipt, now, by),
        )
        return _settle(locked, payment, now=now, by=by)


def reverse_payment(
    payment: Payment, *, reason: str, received_on: date | None = None, now: datetime, by: User | None
) -> Payment:
    """Take a payment, or a refund, back by a row of the opposite amount: it bounced, or was recorded by mistake.

    Reversed already: the reversal is returned. The invoice is open again by its amount. A refund into the wallet is
    taken out of it: `CreditSpent` if it was used. Raises `CannotPay` for a reversal, `ReasonRequired` without a reason.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the payment is reversed.")
    with transaction.atomic():
        locked = locked_invoice(payment.invoice)
        known = Payment.objects.filter(reverses=payment).first()
        if known is not None:
            return known
        if payment.kind == PaymentKind.REVERSAL:
            raise CannotPay("A reversal isn't reversed: record the payment anew.")
        if payment.method == PaymentMethod.WALLET:
            _take_back_credit(payment, reason=reason, now=now, by=by)
        receipt = Receipt(-payment.amount, received_on or now.date(), payment.method, payment.reference)
        row = Payment(
            invoice=locked,
            kind=PaymentKind.REVERSAL,
            amount=-payment.amount,
            reverses=payment,
            credit_note=payment.credit_note,
            reason=reason.strip(),
            **_common(locked, receipt, now, by),
        )
        return _settle(locked, row, now=now, by=by, reason=row.reason)


def refund(
    invoice: Invoice,
    receipt: Receipt,
    *,
    reason: str,
    credit_note: CreditNote | None = None,
    now: datetime,
    by: User | None,
) -> Payment:
    """Record money given back to the customer: of a credit note on what was paid, or of an invoice below zero.

    A second call with the same key returns the first. Raises `CannotPay` for more than is owed, `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Say why money is given back.")
    with transaction.atomic():
        locked = locked_invoice(invoice)
        known = _by_key(locked, receipt)
        if known is not None:
            return known
        _refuse_unrefundable(locked, receipt, credit_note)
        row = Payment(
            invoice=locked,
            kind=PaymentKind.REFUND,
            amount=-receipt.amount,
            credit_note=credit_note,
            reason=reason.strip(),
            **_common(locked, receipt, now, by),
        )
        return _settle(locked, row, now=now, by=by, reason=row.reason)


def refund_as_credit(note: CreditNote, *, now: datetime, by: User | None) -> Payment:
    """Give back what is still owed by a finalized credit note as prepaid credit, usable at once. Once per note."""
    with transaction.atomic():
        amount = min(note.refund_due - refunded(note), to_refund(locked_invoice(note.invoice)))
        receipt = Receipt(amount, now.date(), PaymentMethod.WALLET, idempotency_key=f"wallet:{note.public_id}")
        row = refund(note.invoice, receipt, reason=f"Credit note {note}", credit_note=note, now=now, by=by)
        grant(
            wallet_of(note.invoice, by=by),
            amount,
            kind=GrantKind.CORRECTION,
            reason=f"Credit note {note}",
            reference=row.public_id,
            now=now,
            by=by,
        )
        return row


def pay_the_rest(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record a payment of all that is left. Paid already: returned as it is. Raises what `record_payment` raises."""
    with transaction.atomic():
        locked = locked_invoice(invoice)
        if locked.state == InvoiceState.PAID:
            return locked
        receipt = Receipt(locked.amount_remaining, now.date(), PaymentMethod.OTHER, note="Marked as paid.")
        return record_payment(locked, receipt, now=now, by=by).invoice


def settle(invoice: Invoice, *, now: datetime) -> None:
    """Set whether a locked, finalized invoice is paid, by what is left. The caller saves it."""
    if invoice.is_settled:
        invoice.state, invoice.paid_at = InvoiceState.PAID, invoice.paid_at or now
    else:
        invoice.state, invoice.paid_at = InvoiceState.FINALIZED, None


def refunded(credit_note: CreditNote) -> Decimal:
    """Add up what was given back of a credit note, less refunds that were reversed. Never below zero."""
    total: Decimal | None = credit_note.refunds.aggregate(total=Sum("amount"))["total"]
    return -(total or ZERO)


def to_refund(invoice: Invoice) -> Decimal:
    """Return what is owed to the customer: paid or credited beyond what is due. Zero for most."""
    return max(-invoice.amount_remaining, ZERO) if invoice.finalized_at and not invoice.voided_at else ZERO


def _take_back_credit(payment: Payment, *, reason: str, now: datetime, by: User | None) -> None:
    given = CreditGrant.objects.filter(reference=payment.public_id).select_related("wallet").first()
    if given is None:
        raise CannotPay("The credit that was given isn't known: take it back in the wallet.")
    take_back(given, reason=reason, amount=given.amount, now=now, by=by)


def _settle(invoice: Invoice, payment: Payment, *, now: datetime, by: User | None, reason: str = "") -> Payment:
    with recorded(by=by, reason=reason):
        payment.save()
        invoice.amount_paid += payment.amount
        settle(invoice, now=now)
        invoice.save(update_fields=["amount_paid", "state", "paid_at", "updated_at"])
    notify_payment(payment, now=now)
    notify(WebhookEvent.INVOICE_PAYMENT, [invoice], now=now)
    return payment


def _common(invoice: Invoice, receipt: Receipt, now: datetime, by: User | None) -> dict[str, object]:
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


def _by_key(invoice: Invoice, receipt: Receipt) -> Payment | None:
    if receipt.idempotency_key is None:
        return None
    found = Payment.objects.filter(idempotency_key=receipt.idempotency_key).select_related("invoice").first()
    if found is not None and found.invoice_id != invoice.pk:
        raise CannotPay(f"This key was used for a payment of {found.invoice}.")
    return found


def _recorded_already(invoice: Invoice, receipt: Receipt) -> Payment | None:
    known = _by_key(invoice, receipt)
    reference = receipt.reference.strip()
    if known is None and reference:
        live = invoice.payments.filter(kind=PaymentKind.PAYMENT, reference=reference, reversed_by=None)
        known = live.select_related("invoice").first()
    if known is not None and known.amount != receipt.amount:
        was = format_amount(known.amount, invoice.currency)
        raise CannotPay(f"{reference or 'This payment'} is recorded already, as {was}: reverse it first if it's wrong.")
    return known


def _reversed(invoice: Invoice, reference: str) -> int:
    """Count the payments of a reference that were reversed: it can be recorded once more after each."""
    given = reference.strip()
    return invoice.payments.filter(kind=PaymentKind.PAYMENT, reference=given).count() if given else 0


def _refuse_unpayable(invoice: Invoice, receipt: Receipt) -> None:
    currency, left = invoice.currency, invoice.amount_remaining
    if invoice.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
        state = invoice.get_state_display().lower()
        raise CannotPay(f"{invoice} is {state}: only a finalized invoice is paid.")
    if left < 0:
        raise CannotPay(f"{format_amount(-left, currency)} of {invoice} is owed to the customer, not by them.")
    if receipt.amount <= 0 or receipt.amount != round_amount(receipt.amount, currency):
        raise CannotPay(f"A payment is above zero, and in whole units of {currency}.")
    if receipt.amount > left:
        amount, due = format_amount(receipt.amount, currency), format_amount(left, currency)
        raise CannotPay(f"{amount} is more than the {due} that is left to pay on {invoice}.")


def _refuse_unrefundable(invoice: Invoice, receipt: Receipt, credit_note: CreditNote | None) -> None:
    owed, of = to_refund(invoice), f"on {invoice}"
    if credit_note is not None:
        if credit_note.invoice_id != invoice.pk or credit_note.state != CreditNoteState.FINALIZED:
            raise CannotPay(f"{credit_note} isn't a finalized credit note of {invoice}.")
        owed, of = min(owed, credit_note.refund_due - refunded(credit_note)), f"by {credit_note}"
    if receipt.amount <= 0 or receipt.amount != round_amount(receipt.amount, invoice.currency):
        raise CannotPay(f"What is given back is above zero, and in whole units of {invoice.currency}.")
    if receipt.amount > owed:
        amount, most = format_amount(receipt.amount, invoice.currency), format_amount(owed, invoice.currency)
        raise CannotPay(f"{amount} is more than the {most} that is owed to the customer {of}.")
