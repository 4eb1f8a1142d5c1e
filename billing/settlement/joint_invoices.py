"""Sections of joint invoices: locked together, and paid by one payment of the customer."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from billing.models import Invoice, JointInvoice, Payment
from billing.money import ZERO
from billing.settlement.payments import Receipt, lock_invoices
from billing.settlement.receipts import Application, CustomerReceipt, record_receipt


def lock_sections(invoice: Invoice) -> list[Invoice]:
    """Lock an invoice, and if it is a section, all sections of its joint invoice, in the order of their keys."""
    joint_id = Invoice.objects.values_list("joint_id", flat=True).get(pk=invoice.pk)
    is_wanted = Q(pk=invoice.pk) if joint_id is None else Q(pk=invoice.pk) | Q(joint=joint_id)
    rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("customer", "subscription")
    return list(rows.filter(is_wanted).order_by("pk"))


def record_joint_payment(joint: JointInvoice, receipt: Receipt, *, now: datetime, by: User | None) -> Payment:
    """Record one payment of a joint invoice, which is applied to its sections, in their order.

    $50.00 for sections of $30.00 and $40.00 pay the first, and $20.00 of the second. What is more than the amount due
    becomes prepaid credit or stays unapplied, as the receipt says. Safe to repeat, and raises `CannotPay`, as
    `record_receipt`.
    """
    with transaction.atomic():
        lock_invoices(Invoice.objects.filter(joint=joint))
        sections = JointInvoice.objects.get(pk=joint.pk).parts
        amounts = split_payment(receipt.amount, [section.amount_remaining for section in sections])
        applications = [
            Application(section, amount) for section, amount in zip(sections, amounts, strict=True) if amount
        ]
        received = CustomerReceipt(joint.customer, joint.currency, receipt, applications)
        return record_receipt(received, now=now, by=by)


def split_payment(amount: Decimal, remaining: Sequence[Decimal]) -> list[Decimal]:
    """Divide a payment among what is left to pay, in order.

    >>> [str(part) for part in split_payment(Decimal("50"), [Decimal("30"), Decimal("-5"), Decimal("40")])]
    ['30', '0', '20']
    """
    parts = []
    for due in remaining:
        parts.append(min(max(due, ZERO), amount))
        amount -= parts[-1]
    return parts
