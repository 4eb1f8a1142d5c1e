"""Money received from a customer for several invoices, or for none yet.

A receipt is a payment without an invoice of its own. What it pays are rows that apply it to invoices; the rest is
prepaid credit or stays unapplied. Reversing the payment reverses them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q

from billing.emails.outbox import email_receipt
from billing.models import Invoice, InvoiceState, Payment, PaymentKind, PaymentMethod, SurplusUse
from billing.money import ZERO, format_amount
from billing.refusals import CannotPay
from billing.settlement.differences import settle_difference
from billing.settlement.payments import (
    Receipt,
    check_amount,
    common_columns,
    count_attempts,
    credit_surplus,
    find_recorded,
    lock_customer,
    lock_invoices,
    save_payment,
)
from billing.settlement.surplus import apply_surplus
from customers.models import Customer

DEDUCTED, DIFFERENCE = "Deducted by the bank", "Small difference"


@dataclass(frozen=True, slots=True)
class Application:
    """What a receipt pays of one invoice. The bank charge and the write-off settle what the money doesn't."""

    invoice: Invoice
    amount: Decimal
    bank_charge: Decimal = ZERO
    write_off: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class CustomerReceipt:
    """A receipt of a customer and what it is for: applications, or the oldest invoices first."""

    customer: Customer
    currency: str
    receipt: Receipt
    applications: Sequence[Application] = ()
    oldest_first: bool = False


def record_receipt(received: CustomerReceipt, *, now: datetime, by: User | None) -> Payment:
    """Record money from a customer, apply it to invoices, and settle small differences.

    $250.00 pay $100.00 and $98.00 of two invoices of $100.00; a bank charge of $2.00 settles the second; $52.00 become
    prepaid credit or stay unapplied, as the receipt says. A second call with the same key, or the same reference of the
    customer, returns the first payment, unless that was reversed. Raises `CannotPay`.
    """
    customer, receipt = received.customer, received.receipt
    with transaction.atomic():
        _lock([received])
        earlier = customer.payments.filter(kind=PaymentKind.PAYMENT, invoice=None)
        existing = find_recorded(earlier, receipt, None, customer)
        if existing is not None:
            return existing
        if received.oldest_first:
            parts = apply_oldest_first(customer, received.currency, receipt.amount)
            received = replace(received, applications=parts)
        _check_receipt(received)
        payment = Payment(
            customer=customer,
            kind=PaymentKind.PAYMENT,
            amount=receipt.amount,
            surplus=receipt.amount,
            attempt=1 + count_attempts(earlier, receipt.reference),
            **common_columns(received.currency, receipt, now, by),
        )
        save_payment(None, payment, now=now, by=by)
        for application in received.applications:
            _apply(payment, application, receipt, now=now, by=by)
        applied = sum((application.amount for application in received.applications), ZERO)
        if receipt.surplus_to == SurplusUse.CREDIT and applied < receipt.amount:
            credit_surplus(payment, now=now, by=by)
        email_receipt(payment, now=now)
        return payment


def apply_oldest_first(customer: Customer, currency: str, amount: Decimal) -> list[Application]:
    """Distribute an amount over the customer's unpaid invoices, in the order of their due dates.

    $150.00 for three invoices of $100.00 pay the first and half of the second.
    """
    applications = []
    unpaid = Invoice.objects.to_pay().filter(customer=customer, currency=currency)
    for invoice in unpaid.order_by(F("due_at").asc(nulls_last=True), "pk"):
        paid = min(amount, invoice.amount_remaining)
        if paid <= 0:
            break
        applications.append(Application(invoice, paid))
        amount -= paid
    return applications


def record_receipts(receipts: Sequence[CustomerReceipt], *, now: datetime, by: User | None) -> list[Payment]:
    """Record a batch of receipts: all, or none if one is refused. Its error names the position, from 0."""
    with transaction.atomic():
        _lock(receipts)
        payments = []
        for position, received in enumerate(receipts):
            try:
                payments.append(record_receipt(received, now=now, by=by))
            except CannotPay as refused:
                raise CannotPay(f"Payment {position}: {refused}") from refused
        return payments


def _lock(receipts: Sequence[CustomerReceipt]) -> None:
    """Lock the invoices that receipts may pay, then the customers, each in the order of their keys."""
    named = Q(pk__in=[application.invoice.pk for received in receipts for application in received.applications])
    for received in receipts:
        if received.oldest_first:
            named |= Q(customer=received.customer, currency=received.currency, state=InvoiceState.FINALIZED)
    lock_invoices(Invoice.objects.filter(named))
    for customer_id in sorted({received.customer.pk for received in receipts}):
        lock_customer(customer_id)


def _check_receipt(received: CustomerReceipt) -> None:
    receipt, currency = received.receipt, received.currency
    check_amount(receipt.amount, currency)
    invoices = [application.invoice.pk for application in received.applications]
    if len(set(invoices)) < len(invoices):
        raise CannotPay("Name each invoice once.")
    for application in received.applications:
        if not (application.amount or application.bank_charge or application.write_off):
            raise CannotPay(f"Enter an amount for {application.invoice}.")
    applied = sum((application.amount for application in received.applications), ZERO)
    if applied > receipt.amount:
        excess, amount = format_amount(applied, currency), format_amount(receipt.amount, currency)
        raise CannotPay(f"{excess} for the invoices is more than the {amount} received.")


def _apply(payment: Payment, application: Application, receipt: Receipt, *, now: datetime, by: User | None) -> None:
    if application.amount:
        apply_surplus(payment, application.invoice, amount=application.amount, now=now, by=by)
    for method, amount, reason in (
        (PaymentMethod.BANK_CHARGE, application.bank_charge, DEDUCTED),
        (PaymentMethod.WRITE_OFF, application.write_off, DIFFERENCE),
    ):
        if amount:
            difference = replace(receipt, amount=amount, method=method, idempotency_key=None, note="")
            settle_difference(application.invoice, difference, reason=reason, payment=payment, now=now, by=by)
