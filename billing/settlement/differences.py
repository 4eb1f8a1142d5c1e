"""Small differences between an invoice and the money that arrived: written off, or deducted by a bank."""

from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from billing.models import ADJUSTMENTS, CompanyProfile, Invoice, Payment, PaymentKind, PaymentMethod
from billing.money import ZERO, format_amount
from billing.refusals import CannotPay
from billing.settlement.payments import (
    Receipt,
    check_amount,
    common_columns,
    find_by_key,
    lock_invoice,
    save_payment,
)
from billing.settlement.surplus import check_target
from config.refusals import ReasonRequired

NAMES = {PaymentMethod.WRITE_OFF: "write-off", PaymentMethod.BANK_CHARGE: "bank charge"}


def settle_difference(
    invoice: Invoice,
    receipt: Receipt,
    *,
    reason: str,
    payment: Payment | None = None,
    now: datetime,
    by: User | None,
) -> Payment:
    """Settle a part of the amount due without money: `receipt.method` is a write-off or a bank charge.

    Of $100.00 due, $98.00 arrived: a bank charge of $2.00 settles the rest. With a `payment`, reversing that reverses
    the difference too. A second call with the same key returns the first row. Raises `CannotPay` for more than is due,
    and for more than the company's limit for one invoice; `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for the adjustment.")
    with transaction.atomic():
        locked = lock_invoice(invoice)
        existing = find_by_key(receipt, locked, locked.customer)
        if existing is not None:
            return existing
        check_target(locked, locked.customer_id, locked.currency)
        profile = CompanyProfile.current()
        _check_difference(locked, receipt, profile)
        is_write_off = receipt.method == PaymentMethod.WRITE_OFF
        row = Payment(
            customer=locked.customer,
            invoice=locked,
            kind=PaymentKind.ADJUSTED,
            amount=receipt.amount,
            source=payment,
            account=profile.write_off_account if is_write_off else profile.bank_charge_account,
            reason=reason.strip(),
            **common_columns(locked.currency, receipt, now, by),
        )
        return save_payment(locked, row, now=now, by=by, reason=row.reason)


def limit_of(method: str, profile: CompanyProfile) -> Decimal:
    """Return the most that write-offs, or bank charges, may settle of one invoice."""
    return profile.write_off_limit if method == PaymentMethod.WRITE_OFF else profile.bank_charge_limit


def _check_difference(invoice: Invoice, receipt: Receipt, profile: CompanyProfile) -> None:
    if receipt.method not in ADJUSTMENTS:
        raise CannotPay("Choose a write-off or a bank charge.")
    check_amount(receipt.amount, invoice.currency)
    amount, remaining = format_amount(receipt.amount, invoice.currency), invoice.amount_remaining
    if receipt.amount > remaining:
        raise CannotPay(f"{amount} is more than the {format_amount(remaining, invoice.currency)} due on {invoice}.")
    earlier: Decimal | None = invoice.payments.filter(method=receipt.method).aggregate(sum=Sum("amount"))["sum"]
    limit = limit_of(receipt.method, profile)
    if (earlier or ZERO) + receipt.amount > limit:
        name, most = NAMES[PaymentMethod(receipt.method)], format_amount(limit, invoice.currency)
        raise CannotPay(
            f"A {name} of {amount} exceeds the limit of {most} for {invoice}. Create a credit note, or change the "
            "limit under Settings → Company."
        )
