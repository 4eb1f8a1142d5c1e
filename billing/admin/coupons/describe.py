"""Texts about applied discounts: who gets them, and how many invoices they reduced."""

from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from billing.adjustments.coupons import (
    describe_reduction,
)
from billing.models import CouponApplication
from billing.money import ZERO, format_amount


def with_uses(applications: QuerySet[CouponApplication]) -> QuerySet[Any]:
    """Add `used`, the number of invoices that each application reduced, and `taken`, by how much."""
    live = Q(uses__returned_at=None)
    return applications.annotate(used=Count("uses", filter=live), taken=Sum("uses__amount", filter=live))


def describe_recipient(application: CouponApplication) -> str:
    """Describe who gets the discount: all of a customer's subscriptions, one of them, or a one-off invoice."""
    if application.invoice is not None:
        return f"{application.customer}, only {application.invoice}"
    if application.subscription is None:
        return f"{application.customer}, all subscriptions"
    return f"{application.customer}, only {application.subscription.public_id}"


def describe_uses(application: CouponApplication) -> str:
    """Count the invoices reduced, of the limit if there is one, or the amount of one that keeps its rest."""
    coupon, used = application.coupon, getattr(application, "used", 0)
    if coupon.keeps_rest:
        taken = format_amount(getattr(application, "taken", None) or ZERO, coupon.currency)
        return f"{used}: {taken} of {describe_reduction(coupon)}"
    return f"{used} of {coupon.limit}" if coupon.limit is not None else str(used)


def is_used_up(application: CouponApplication) -> bool:
    """Return whether the application reduces no further invoice. It is loaded by `with_uses`."""
    coupon, used = application.coupon, getattr(application, "used", 0)
    if coupon.keeps_rest:
        return (getattr(application, "taken", None) or ZERO) >= (coupon.amount_off or ZERO)
    return coupon.limit is not None and used >= coupon.limit
