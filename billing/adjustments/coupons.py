"""Discounts at work: a coupon applied to a customer or a subscription, ended, archived."""

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
    """The coupon can't be applied here or now. The message is for staff."""


def save_coupon(coupon: Coupon, *, by: User | None, reason: str = "") -> Coupon:
    """Check and write a coupon. What it takes off is fixed from its making on. Raises `ValidationError`."""
    coupon.full_clean()
    with recorded(by=by, reason=reason):
        coupon.save()
    return coupon


def archive_coupon(coupon: Coupon, *, now: datetime, by: User | None, reason: str = "") -> Coupon:
    """Let nobody apply the coupon any more; where it is applied it goes on. Archived already: nothing happens."""
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
    """Put a coupon to work for a customer, or for one of its subscriptions, from a moment on: now unless given.

    At work there already: what is there is returned. Raises `CannotApply`: archived, not redeemable now, applied as
    often as it may be, or of another currency than the subscription.
    """
    with transaction.atomic():
        locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
        mine = CouponApplication.objects.filter(coupon=locked, customer=customer, subscription=subscription)
        there = mine.filter(ended_at=None).first()
        if there is not None:
            return there
        check_applicable(locked, customer, subscription, now=now)
        starts_at = starts_at or now
        if ends_at is not None and ends_at <= starts_at:
            raise CannotApply("It would end before it starts.")
        with recorded(by=by, reason=reason):
            return CouponApplication.objects.create(
                coupon=locked, customer=customer, subscription=subscription, starts_at=starts_at, ended_at=ends_at,
                reason=reason, applied_by=by, metadata=metadata or {},
            )  # fmt: skip


def check_applicable(coupon: Coupon, customer: Customer, subscription: Subscription | None, *, now: datetime) -> None:
    """Refuse, by `CannotApply`, what can't be applied to a customer or a subscription at a moment."""
    if subscription is not None and subscription.customer_id != customer.pk:
        raise CannotApply(f"{subscription.public_id} isn't a subscription of {customer}.")
    if coupon.archived_at is not None:
        raise CannotApply(f"{coupon} is archived.")
    if coupon.redeem_after is not None and now < coupon.redeem_after:
        raise CannotApply(f"{coupon} can be applied from {coupon.redeem_after:%Y-%m-%d %H:%M} UTC on.")
    if coupon.redeem_by is not None and now >= coupon.redeem_by:
        raise CannotApply(f"{coupon} could be applied until {coupon.redeem_by:%Y-%m-%d %H:%M} UTC.")
    if coupon.max_redemptions is not None and coupon.applications.count() >= coupon.max_redemptions:
        raise CannotApply(f"{coupon} is applied as often as it may be: {coupon.max_redemptions}.")
    if subscription is not None and coupon.currency not in ("", subscription.currency):
        raise CannotApply(
            f"{coupon} takes off {coupon.currency}; the subscription is billed in {subscription.currency}."
        )


def end_application(
    application: CouponApplication, *, at: datetime, by: User | None, reason: str = ""
) -> CouponApplication:
    """End a coupon's work: invoices that fall due from the moment on aren't reduced. Ended before that: as it is."""
    with transaction.atomic():
        locked = CouponApplication.objects.select_for_update(of=("self",)).get(pk=application.pk)
        if locked.ended_at is None or locked.ended_at > at:
            locked.ended_at = max(at, locked.starts_at)
            with recorded(by=by, reason=reason):
                locked.save(update_fields=["ended_at", "updated_at"])
        return locked


def off(coupon: Coupon) -> str:
    """Say what a coupon takes off: "25%", "$10.00"."""
    if coupon.percent_off is not None:
        return f"{number(coupon.percent_off)}%"
    return format_amount(coupon.amount_off, coupon.currency) if coupon.amount_off is not None else ""


def how_long(coupon: Coupon) -> str:
    """Say for how many invoices a coupon lasts."""
    if coupon.duration == CouponDuration.REPEATED:
        return f"{coupon.periods} invoices"
    return "one invoice" if coupon.duration == CouponDuration.ONCE else "for ever"
