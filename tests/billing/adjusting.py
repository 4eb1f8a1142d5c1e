"""Helpers for tests of discounts, taxes and credit: factories with defaults, and an invoice's totals."""

from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from billing.models import Coupon, CouponApplication, CreditGrant, Invoice, InvoiceLine, TaxAssignment, TaxRate
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from customers.models import Customer, Subscription
from tests.billing.world import D, utc

START, END = utc(2026, 9, 1), utc(2026, 10, 1)
_numbers = count(1)


def make_tax(percentage: Any = 20, *, of: Customer | Subscription | None = None, **given: Any) -> TaxRate:
    """Make a tax of 20% on top and have everybody without own taxes pay it, or only a customer or a subscription."""
    position = next(_numbers)
    rate = TaxRate.objects.create(
        **{"code": f"tax-{position}", "name": "VAT", "percentage": D(str(percentage))} | given
    )
    owner = {"customer": of} if isinstance(of, Customer) else {"subscription": of}
    TaxAssignment.objects.create(rate=rate, position=position, **owner)
    return rate


def make_coupon(percent: Any = None, amount: Any = None, **given: Any) -> Coupon:
    """Create a coupon for all invoices: 10% by default; an amount is in USD."""
    off: dict[str, Any] = {"percent_off": D(str(percent or 10))}
    if amount is not None:
        off = {"amount_off": D(str(amount)), "currency": given.pop("currency", "USD")}
    features, plans = given.pop("features", ()), given.pop("plans", ())
    number = next(_numbers)
    coupon = Coupon.objects.create(
        **{"code": f"COUPON{number}", "name": f"Coupon {number}", "duration": "forever"} | off | given
    )
    coupon.features.set(features)
    coupon.plans.set(plans)
    return coupon


def give(coupon: Coupon, to: Customer | Subscription, *, starts_at: datetime = START) -> CouponApplication:
    """Put a coupon to work for a customer or a subscription."""
    customer, subscription = (to, None) if isinstance(to, Customer) else (to.customer, to)
    return CouponApplication.objects.create(
        coupon=coupon, customer=customer, subscription=subscription, starts_at=starts_at
    )


def make_credit(customer: Customer, amount: Any, *, currency: str = "USD", **given: Any) -> CreditGrant:
    """Grant promotional credit without expiry to the customer's wallet."""
    defaults = {"kind": "promotional", "reason": "Welcome", "now": START, "by": None}
    return grant_credit(get_or_open_wallet(customer, currency, by=None), D(str(amount)), **defaults | given)


def totals(invoice: Invoice) -> list[Decimal]:
    """Return subtotal, discounts, tax on top, total, credit and what is due."""
    return [
        invoice.subtotal, invoice.discount_total, invoice.tax_total, invoice.total, invoice.credits_applied,
        invoice.amount_due,
    ]  # fmt: skip


def adds_up(invoice: Invoice) -> bool:
    """Tell whether the total is the sum of the lines as shown, and the charges' parts are the invoice's sums."""
    lines = list(InvoiceLine.objects.filter(invoice=invoice))
    charges = [line for line in lines if line.kind not in ("discount", "tax")]
    return (
        sum(line.amount for line in lines) == invoice.total
        and sum(line.amount for line in charges) == invoice.subtotal
        and sum(line.discount_amount for line in charges) == invoice.discount_total
        and sum(line.tax_amount for line in charges) == invoice.tax_total
        and sum(line.tax_included for line in charges) == invoice.tax_included
    )
