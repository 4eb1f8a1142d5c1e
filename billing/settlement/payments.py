"""Payments of invoices and their reversals. Each is a new row, inserted while the invoice is locked.

An invoice's paid amount is the sum of its rows; PostgreSQL checks it. Payments are recorded here, not collected. One
payment of several invoices: `receipts.py`.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from billing.emails.outbox import email_receipt
from billing.models import (
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceState,
    Payment,
    PaymentKind,
    PaymentMethod,
    SurplusUse,
)
from billing.money import ZERO, format_amount, round_amount
from billing.notifications import notify, notify_payment
from billing.refusals import CannotPay
from billing.settlement.wallets import add_credit, get_or_open_credit_wallet, revoke_credit
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent
from customers.models import Customer


@dataclass(frozen=True, slots=True)
class Receipt:
    """The details of a payment or refund. `amount` is positive, in its currency.

    `surplus_to` is what becomes of the part of a payment that is more than the amount due.
    """

    amount: Decimal
    received_on: date
    method: str = PaymentMethod.BANK_TRANSFER
    reference: str = ""
    note: str = ""
    idempotency_key: str | None = None
    surplus_to: str = SurplusUse.CREDIT


def inputs_of(receipt: Receipt, reason: str) -> dict[str, Any]:
    """Return a receipt and its reason as the inputs of a request for approval."""
    return {**asdict(receipt), "reason": reason.strip()}


def receipt_of(inputs: dict[str, Any]) -> Receipt:
    """Return the receipt of a request for approval."""
    values = {name: value for name, value in inputs.items() if name != "reason"}
    amount, received_on = Decimal(values.pop("amount")), date.fromisoformat(values.pop("received_on"))
    return Receipt(amount, received_on, **values)


def lock_invoice(invoice: Invoice) -> Invoice:
    """Lock an invoice's row until the transaction ends, and return it as it is now."""
    return (
        Invoice.objects.select_for_update(no_key=True, of=("self",))
        .select_related("customer", "subscription")
        .get(pk=invoice.pk)
    )


def record_payment(invoice: Invoice, receipt: Receipt, *, now: datetime, by: User | None) -> Payment:
    """Record a full or partial payment of a finalized invoice, which reduces its amount due.

    What is more than the amount due becomes prepaid credit of the customer or stays unapplied, as the receipt says. A
    payment of $120.00 for $100.00 pays the invoice, and grants $20.00 of credit. A second call with the same reference
    or key returns the first payment, unless that was reversed. Raises `CannotPay` for a reference that was recorded
    with another amount, and for a draft or void invoice.
    """
    with transaction.atomic():
        locked = lock_invoice(invoice)
        earlier = invoice.payments.filter(kind=PaymentKind.PAYMENT)
        existing = find_recorded(earlier, receipt, locked, locked.customer)
        if existing is not None:
            return existing
        _check_payment(locked, receipt)
        payment = Payment(
            customer=locked.customer,
            invoice=locked,
            kind=PaymentKind.PAYMENT,
            amount=receipt.amount,
            surplus=max(receipt.amount - max(locked.amount_remaining, ZERO), ZERO),
            attempt=1 + count_attempts(earlier, receipt.reference),
            **common_columns(locked.currency, receipt, now, by),
        )
        save_payment(locked, payment, now=now, by=by)
        if payment.surplus and receipt.surplus_to == SurplusUse.CREDIT:
            credit_surplus(payment, now=now, by=by)
        email_receipt(payment, now=now)
        return payment


def credit_surplus(
    payment: Payment,
    *,
    amount: Decimal | None = None,
    now: datetime,
    by: User | None,
    idempotency_key: str | None = None,
) -> Payment:
    """Turn the unapplied part of a payment, or an amount of it, into prepaid credit of the customer.

    A second call with the same key returns the first row. Raises `CannotPay` for more than is unapplied.
    """
    with transaction.atomic():
        locked = lock_payment(payment)
        receipt = Receipt(ZERO, now.date(), PaymentMethod.WALLET, payment.reference, idempotency_key=idempotency_key)
        existing = find_by_key(receipt, locked, payment.customer)
        if existing is not None:
            return existing
        credited = take_surplus(payment, amount)
        row = Payment(
            customer=payment.customer,
            invoice=locked,
            kind=PaymentKind.REFUND,
            amount=-credited,
            surplus=-credited,
            source=payment,
            reason=f"Surplus of {payment}"[:255],
            **common_columns(payment.currency, receipt, now, by),
        )
        save_payment(locked, row, now=now, by=by, reason=row.reason)
        add_credit(
            get_or_open_credit_wallet(payment.customer, payment.currency, by=by),
            credited,
            kind=GrantKind.OVERPAYMENT,
            reason=row.reason,
            reference=row.public_id,
            now=now,
            by=by,
        )
        return row


def take_surplus(payment: Payment, amount: Decimal | None) -> Decimal:
    """Return the amount to use of a payment's surplus: by default all that is unapplied. Call with the payment locked.

    Raises `CannotPay` for more than is unapplied.
    """
    unapplied: Decimal = Payment.objects.with_unapplied().values_list("unapplied", flat=True).get(pk=payment.pk)
    if not unapplied:
        raise CannotPay(f"Nothing of {payment} is unapplied.")
    taken = unapplied if amount is None else amount
    check_amount(taken, payment.currency)
    if taken > unapplied:
        excess, most = format_amount(taken, payment.currency), format_amount(unapplied, payment.currency)
        raise CannotPay(f"{excess} is more than the unapplied {most} of {payment}.")
    return taken


def reverse_payment(
    payment: Payment, *, reason: str, received_on: date | None = None, now: datetime, by: User | None
) -> Payment:
    """Reverse a payment or refund that bounced or was recorded by mistake, by a row of the opposite amount.

    The amount becomes due on the invoice again. If the row is already reversed, its reversal is returned. Reversing a
    refund into the wallet revokes that credit, or raises `CreditSpent` if it was spent. Uses of a payment's surplus are
    reversed with it, except a refund that was paid out: that must be reversed first. Raises `CannotPay` for such a
    payment and for a reversal, `ReasonRequired` without a reason.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for reversing the payment.")
    with transaction.atomic():
        lock_payment(payment)
        existing = Payment.objects.filter(reverses=payment).first()
        if existing is not None:
            return existing
        if payment.kind == PaymentKind.REVERSAL:
            raise CannotPay("A reversal can't be reversed. Record the payment again.")
        on = received_on or now.date()
        for use in payment.uses.filter(reversed_by=None).exclude(kind=PaymentKind.REVERSAL).order_by("-pk"):
            if use.kind == PaymentKind.REFUND and use.method != PaymentMethod.WALLET:
                refunded = format_amount(-use.amount, use.currency)
                raise CannotPay(f"{refunded} of {payment} was refunded. Reverse that refund first.")
            _reverse(use, reason.strip(), on, now=now, by=by)
        return _reverse(payment, reason.strip(), on, now=now, by=by)


def lock_payment(payment: Payment, *others: Invoice) -> Invoice | None:
    """Lock the invoices that share a payment's money, and others, and the customer of a payment without an invoice.

    Return the payment's own invoice as it is now, if it has one.
    """
    source = payment.source or payment
    shared = Payment.objects.filter(Q(source=source) | Q(pk=source.pk), invoice__isnull=False).values("invoice")
    named = [key for key in (payment.invoice_id, *(invoice.pk for invoice in others)) if key]
    lock_invoices(Invoice.objects.filter(Q(pk__in=shared) | Q(pk__in=named)))
    if source.invoice_id is None:
        lock_customer(source.customer_id)
    return lock_invoice(payment.invoice) if payment.invoice is not None else None


def lock_invoices(invoices: QuerySet[Invoice]) -> None:
    """Lock the rows of invoices in the order of their keys."""
    list(invoices.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True))


def lock_customer(customer_id: int) -> None:
    """Lock a customer's row. Payments without an invoice are recorded and used while it is locked."""
    Customer.objects.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True).get(pk=customer_id)


def _reverse(payment: Payment, reason: str, received_on: date, *, now: datetime, by: User | None) -> Payment:
    """Reverse one row. The payment is locked."""
    locked = lock_invoice(payment.invoice) if payment.invoice is not None else None
    if payment.method == PaymentMethod.WALLET:
        _revoke_refunded_credit(payment, reason=reason, now=now, by=by)
    receipt = Receipt(-payment.amount, received_on, payment.method, payment.reference)
    row = Payment(
        customer=payment.customer,
        invoice=locked,
        kind=PaymentKind.REVERSAL,
        amount=-payment.amount,
        surplus=-payment.surplus,
        source=(payment.source or payment) if payment.surplus else None,
        reverses=payment,
        credit_note=payment.credit_note,
        account=payment.account,
        reason=reason,
        **common_columns(payment.currency, receipt, now, by),
    )
    return save_payment(locked, row, now=now, by=by, reason=row.reason)


def pay_remaining_amount(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record a payment of the whole amount due; return a paid invoice unchanged. Raises as `record_payment` does."""
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if locked.state == InvoiceState.PAID:
            return locked
        receipt = Receipt(locked.amount_remaining, now.date(), PaymentMethod.OTHER, note="Marked as paid.")
        record_payment(locked, receipt, now=now, by=by)
        locked.refresh_from_db()
        return locked


def set_payment_state(invoice: Invoice, *, now: datetime) -> None:
    """Set a locked, finalized invoice's state to paid or finalized, by its remaining amount. The caller saves it."""
    if invoice.is_settled:
        invoice.state, invoice.paid_at = InvoiceState.PAID, invoice.paid_at or now
    else:
        invoice.state, invoice.paid_at = InvoiceState.FINALIZED, None


def _revoke_refunded_credit(payment: Payment, *, reason: str, now: datetime, by: User | None) -> None:
    grant = CreditGrant.objects.filter(reference=payment.public_id).select_related("wallet").first()
    if grant is None:
        raise CannotPay("The credit of this refund can't be identified. Revoke the credit in the wallet instead.")
    revoke_credit(grant, reason=reason, amount=grant.amount, now=now, by=by)


def save_payment(
    invoice: Invoice | None, payment: Payment, *, now: datetime, by: User | None, reason: str = ""
) -> Payment:
    """Save a new row and its effect on the locked invoice, and send the webhooks of both."""
    with recorded(by=by, reason=reason):
        payment.save()
        if invoice is not None and payment.applied:
            invoice.amount_paid += payment.applied
            set_payment_state(invoice, now=now)
            invoice.save(update_fields=["amount_paid", "state", "paid_at", "updated_at"])
    notify_payment(payment, now=now)
    if invoice is not None and payment.applied:
        notify(WebhookEvent.INVOICE_PAYMENT, [invoice], now=now)
    return payment


def common_columns(currency: str, receipt: Receipt, now: datetime, by: User | None) -> dict[str, object]:
    """Return the columns that a receipt sets on a row, of any kind."""
    return {
        "currency": currency,
        "received_on": receipt.received_on,
        "method": receipt.method,
        "reference": receipt.reference.strip(),
        "note": receipt.note.strip(),
        "idempotency_key": receipt.idempotency_key,
        "recorded_at": now,
        "recorded_by": by,
    }


def find_by_key(receipt: Receipt, invoice: Invoice | None, customer: Customer) -> Payment | None:
    """Find the row that was recorded with the receipt's key.

    Raises `CannotPay` if the key was used for another invoice or customer.
    """
    if receipt.idempotency_key is None:
        return None
    payments = Payment.objects.select_related("invoice", "customer")
    payment = payments.filter(idempotency_key=receipt.idempotency_key).first()
    same = (invoice.pk if invoice is not None else None, customer.pk)
    if payment is not None and (payment.invoice_id, payment.customer_id) != same:
        used = payment.invoice or payment.customer
        raise CannotPay(f"This idempotency key was already used for a payment of {used}.")
    return payment


def find_recorded(
    earlier: QuerySet[Payment], receipt: Receipt, invoice: Invoice | None, customer: Customer
) -> Payment | None:
    """Find the payment that was recorded with the receipt's key, or among earlier payments with its reference.

    Raises `CannotPay` if it has another amount.
    """
    payment = find_by_key(receipt, invoice, customer)
    reference = receipt.reference.strip()
    if payment is None and reference:
        unreversed = earlier.filter(reference=reference, reversed_by=None)
        payment = unreversed.select_related("invoice", "customer").first()
    if payment is not None and payment.amount != receipt.amount:
        amount = format_amount(payment.amount, payment.currency)
        raise CannotPay(
            f"{reference or 'This payment'} is already recorded with {amount}. If that is wrong, reverse it first."
        )
    return payment


def count_attempts(earlier: QuerySet[Payment], reference: str) -> int:
    """Count the payments recorded with a reference. All are reversed, or the reference couldn't be recorded again."""
    stripped = reference.strip()
    return earlier.filter(reference=stripped).count() if stripped else 0


def _check_payment(invoice: Invoice, receipt: Receipt) -> None:
    if invoice.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
        state = invoice.get_state_display().lower()
        raise CannotPay(f"{invoice} is {state}. Only finalized invoices can be paid.")
    check_amount(receipt.amount, invoice.currency)


def check_amount(amount: Decimal, currency: str) -> None:
    """Raise `CannotPay` unless the amount is positive and has no more decimals than its currency."""
    if amount <= 0 or amount != round_amount(amount, currency):
        raise CannotPay(f"Enter a positive amount with no more decimals than {currency} allows.")
