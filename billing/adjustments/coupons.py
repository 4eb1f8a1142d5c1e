"""Save and archive coupons; apply them to customers and subscriptions, and end that."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import Coupon, CouponApplication, CouponDuration
from billing.money import format_amount
from config.audit import recorded
from config.numbers import number
from config.refusals import Refused
from customers.models import Customer, Subscription


class CannotApply(Refused):
    """The coupon can't be applied to this customer or subscription, or not now. The message is for staff."""


def save_coupon(coupon: Coupon, *, by: User | None, reason: str = "") -> Coupon:
    """Validate and save a coupon. Its discount can't change once it is created. Raises `ValidationError`."""
    coupon.full_clean()
    with recorded(by=by, reason=reason):
        coupon.save()
    return coupon


def archive_coupon(coupon: Coupon, *, now: datetime, by: User | None, reason: str = "") -> Coupon:
    """Archive a coupon: it can't be applied any more, but stays where it is applied."""
    with transaction.atomic():
        locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
        if locked.archived_at is None:
            locked.archived_at = now
            with recorded(by=by, reason=reason):
                locked.save(update_fields=["archived_at", "updated_at"])
        return locked


def apply_coupon(
    coupon: Coupon,
    customer: Customer,
    *,
    now: datetime,
    by: User | None,
    subscription: Subscription | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    reason: str = "",
    metadata: dict[str, Any] | None = None,
) -> CouponApplication:
    """Apply a coupon to a customer, or to one of its subscriptions, from `starts_at` or else from now on.

    If it is applied there already, that application is returned. Raises `CannotApply` if the coupon is archived, can't
    be redeemed now, has reached its limit, or has another currency than the subscription.
    """
    with transaction.atomic():
        locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
        applications = CouponApplication.objects.filter(coupon=locked, customer=customer, subscription=subscription)
        existing = applications.filter(ended_at=None).first()
        if existing is not None:
            return existing
        check_applicable(locked, customer, subscription, now=now)
        starts_at = starts_at or now
        if ends_at is not None and ends_at <= starts_at:
            raise CannotApply("The end must be after the start.")
        with recorded(by=by, reason=reason):
            return CouponApplication.objects.create(
                coupon=locked,
                customer=customer,
                subscription=subscription,
                starts_at=starts_at,
                ended_at=ends_at,
                reason=reason,
                applied_by=by,
                metadata=metadata or {},
            )


def check_applicable(coupon: Coupon, customer: Customer, subscription: Subscription | None, *, now: datetime) -> None:
    """Raise `CannotApply` if the coupon can't be applied to a customer or subscription now."""
    if subscription is not None and subscription.customer_id != customer.pk:
        raise CannotApply(f"{subscription.public_id} isn't a subscription of {customer}.")
    if coupon.archived_at is not None:
        raise CannotApply(f"{coupon} is archived.")
    if coupon.redeem_after is not None and now < coupon.redeem_after:
        raise CannotApply(f"{coupon} can be applied from {coupon.redeem_after:%Y-%m-%d %H:%M} UTC.")
    if coupon.redeem_by is not None and now >= coupon.redeem_by:
        raise CannotApply(f"{coupon} could be applied until {coupon.redeem_by:%Y-%m-%d %H:%M} UTC.")
    if coupon.max_redemptions is not None and coupon.applications.count() >= coupon.max_redemptions:
        raise CannotApply(f"{coupon} can't be applied again: its limit is {coupon.max_redemptions}.")
    if subscription is not None and coupon.currency not in ("", subscription.currency):
        raise CannotApply(f"{coupon} is in {coupon.currency}; the subscription is billed in {subscription.currency}.")


def end_application(
    application: CouponApplication, *, at: datetime, by: User | None, reason: str = ""
) -> CouponApplication:
    """End a coupon's application: invoices due from `at` on get no discount. An earlier end stays."""
    with transaction.atomic():
        locked = CouponApplication.objects.select_for_update(of=("self",)).get(pk=application.pk)
        if locked.ended_at is None or locked.ended_at > at:
            locked.ended_at = max(at, locked.starts_at)
            with recorded(by=by, reason=reason):
                locked.save(update_fields=["ended_at", "updated_at"])
        return locked


def describe_reduction(coupon: Coupon) -> str:
    """Describe a coupon's discount: "25%", "$10.00"."""
    if coupon.percent_off is not None:
        return f"{number(coupon.percent_off)}%"
    return format_amount(coupon.amount_off, coupon.currency) if coupon.amount_off is not None else ""


def describe_duration(coupon: Coupon) -> str:
    """Describe for how many invoices a coupon applies."""
    if coupon.duration == CouponDuration.REPEATED:
        return f"{coupon.periods} invoices"
    return "one invoice" if coupon.duration == CouponDuration.ONCE else "all invoices"
