"""What the demo's customers pay beside the price list: taxes by country, a discount, credit paid in advance."""

from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User

from billing.adjustments.coupons import apply_coupon, save_coupon
from billing.adjustments.tax_rates import assign, save_rate
from billing.demo.clients import COPPERLINE, KESTREL
from billing.demo.story import Story, midnight
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


def make_conditions(story: Story, *, now: datetime, by: User) -> None:
    """Set up taxes, a coupon and a wallet, unless they are there. Safe to repeat."""
    for row in TAXES:
        rate = TaxRate.objects.filter(code=row["code"]).first() or save_rate(TaxRate(**row), by=by, reason=REASON)
        if rate.archived_at is None:
            assign(rate, by=by, reason=REASON)
    _reduce(story, now=now, by=by)
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


def _reduce(story: Story, *, now: datetime, by: User) -> None:
    """Take a fifth off the first three invoices of one customer."""
    kestrel = Customer.objects.get(external_id=KESTREL)
    coupon = Coupon.objects.filter(code=COUPON).first()
    if coupon is None:
        offer = Coupon(
            code=COUPON, name="Launch offer", percent_off=Decimal(20), duration=CouponDuration.REPEATED, periods=3
        )
        coupon = save_coupon(offer, by=by, reason=REASON)
    if not kestrel.coupons.filter(coupon=coupon).exists():
        begins = midnight(story.begins_on, kestrel.timezone)
        apply_coupon(coupon, kestrel, starts_at=begins, now=now, by=by, reason=REASON)
