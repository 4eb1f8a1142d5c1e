"""Taxes by country, a discount, and prepaid credit of the demo's customers."""

from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User

from billing.adjustments.coupons import apply_coupon, save_coupon
from billing.adjustments.tax_rates import assign, save_rate
from billing.demo.customers import COPPERLINE, KESTREL
from billing.demo.timeline import Timeline, midnight
from billing.models import Coupon, CouponDuration, GrantKind, TaxRate
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from customers.models import Customer

REASON = "Demo"
TAXES = (
    {"code": "VAT-DE", "name": "VAT", "percentage": Decimal(19), "country": "DE"},
    {"code": "CT-JP", "name": "Consumption tax", "percentage": Decimal(10), "country": "JP"},
)
COUPON = "LAUNCH20"
PREPAID = Decimal(50)


def make_conditions(timeline: Timeline, *, now: datetime, by: User) -> None:
    """Create the taxes, the coupon and the wallet that are missing. Safe to repeat."""
    for row in TAXES:
        rate = TaxRate.objects.filter(code=row["code"]).first() or save_rate(TaxRate(**row), by=by, reason=REASON)
        if rate.archived_at is None:
            assign(rate, by=by, reason=REASON)
    _add_discount(timeline, now=now, by=by)
    copperline = Customer.objects.get(external_id=COPPERLINE)
    wallet = get_or_open_wallet(copperline, copperline.currency, by=by)
    grant_credit(
        wallet,
        PREPAID,
        kind=GrantKind.PURCHASED,
        reason="Paid in advance",
        reference="demo-prepaid",
        now=now,
        by=by,
    )


def _add_discount(timeline: Timeline, *, now: datetime, by: User) -> None:
    """Apply a coupon of 20 % to the first three invoices of one customer."""
    kestrel = Customer.objects.get(external_id=KESTREL)
    coupon = Coupon.objects.filter(code=COUPON).first()
    if coupon is None:
        offer = Coupon(
            code=COUPON, name="Launch offer", percent_off=Decimal(20), duration=CouponDuration.REPEATED, periods=3
        )
        coupon = save_coupon(offer, by=by, reason=REASON)
    if not kestrel.coupons.filter(coupon=coupon).exists():
        begins = midnight(timeline.begins_on, kestrel.timezone)
        apply_coupon(coupon, kestrel, starts_at=begins, now=now, by=by, reason=REASON)
