"""Unapplied money: the part of a payment that was more than the amount due, and what becomes of it later."""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from billing.models import Invoice, InvoiceState, Payment, PaymentKind
from billing.money import ZERO, format_amount
from billing.refusals import CannotPay
from billing.settlement.payments import (
    Receipt,
    common_columns,
    find_by_key,
    inputs_of,
    lock_invoice,
    lock_payment,
    save_payment,
    take_surplus,
)
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.refusals import ReasonRequired


def apply_surplus(
    payment: Payment,
    invoice: Invoice,
    *,
    amount: Decimal | None = None,
    now: datetime,
    by: User | None,
    idempotency_key: str | None = None,
) -> Payment:
    """Pay another invoice of the customer from the unapplied part of a payment: by default as much as possible.

    $20.00 unapplied pay $15.00 of an invoice with $15.00 due, and $5.00 stay unapplied. A second call with the same key
    returns the first row. Raises `CannotPay` for more than is unapplied or due, for an invoice of another customer or
    currency, and for one that isn't finalized.
    """
    with transaction.atomic():
        lock_payment(payment, invoice)
        locked = lock_invoice(invoice)
        receipt = Receipt(ZERO, now.date(), payment.method, payment.reference, idempotency_key=idempotency_key)
        existing = find_by_key(receipt, locked, payment.customer)
        if existing is not None:
            return existing
        check_target(locked, payment.customer_id, payment.currency)
        applied, remaining = take_surplus(payment, amount), locked.amount_remaining
        if amount is not None and applied > remaining:
            excess, due = format_amount(applied, locked.currency), format_amount(remaining, locked.currency)
            raise CannotPay(f"{excess} is more than the {due} due on {locked}.")
        row = Payment(
            customer=payment.customer,
            invoice=locked,
            kind=PaymentKind.APPLIED,
            amount=ZERO,
            surplus=-min(applied, remaining),
            source=payment,
            **common_columns(payment.currency, receipt, now, by),
        )
        return save_payment(locked, row, now=now, by=by)


def check_target(invoice: Invoice, customer_id: int, currency: str) -> None:
    """Raise `CannotPay` unless a customer's money in a currency can pay the invoice."""
    if invoice.customer_id != customer_id:
        raise CannotPay(f"{invoice} is another customer's invoice.")
    if invoice.currency != currency:
        raise CannotPay(f"{invoice} is in {invoice.currency}; the payment is in {currency}.")
    if invoice.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
        raise CannotPay(f"{invoice} is {invoice.get_state_display().lower()}. Only finalized invoices can be paid.")
    if invoice.amount_remaining <= 0:
        raise CannotPay(f"Nothing is left to pay on {invoice}.")


def refund_surplus(payment: Payment, receipt: Receipt, *, reason: str, now: datetime, by: User | None) -> Payment:
    """Record a refund of the unapplied part of a payment, or of an amount of it, that was paid to the customer.

    A second call with the same key returns the first refund. Raises `CannotPay` for more than is unapplied,
    `ReasonRequired`, `ApprovalNeeded`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for the refund.")
    with transaction.atomic():
        locked = lock_payment(payment)
        existing = find_by_key(receipt, locked, payment.customer)
        if existing is not None:
            return existing
        refunded = take_surplus(payment, receipt.amount)
        require_approval(_describe_refund(payment, receipt, reason), by=by)
        row = Payment(
            customer=payment.customer,
            invoice=locked,
            kind=PaymentKind.REFUND,
            amount=-refunded,
            surplus=-refunded,
            source=payment,
            reason=reason.strip(),
            **common_columns(payment.currency, receipt, now, by),
        )
        return save_payment(locked, row, now=now, by=by, reason=row.reason)


def _describe_refund(payment: Payment, receipt: Receipt, reason: str) -> Action:
    amount, customer = format_amount(receipt.amount, payment.currency), payment.customer
    return Action(
        Operation.REFUND_SURPLUS,
        [ApprovalKind.REFUND],
        [payment],
        inputs_of(receipt, reason),
        title=f"Refund {amount} of {payment} to {customer}",
        effect=f"{amount} of the payment counts as paid back to {customer}.",
        amounts={payment.currency: receipt.amount},
    )


def sum_unapplied(customer_id: int | None = None) -> dict[int, dict[str, Decimal]]:
    """Add up unapplied money by customer and currency, of one customer or of all. One query."""
    rows = Payment.objects.exclude(surplus=0).order_by()
    if customer_id is not None:
        rows = rows.filter(customer=customer_id)
    amounts: dict[int, dict[str, Decimal]] = defaultdict(dict)
    sums = rows.values_list("customer", "currency").annotate(unapplied=Sum("surplus"))
    for customer, currency, unapplied in sums.order_by("currency"):
        if unapplied:
            amounts[customer][currency] = unapplied
    return dict(amounts)
