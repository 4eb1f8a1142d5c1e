"""Save and archive coupons; apply them to customers and subscriptions, and end that."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from billing.kinds import CouponScope
from billing.models import Coupon, CouponApplication, CouponDuration, CouponUse, Invoice
from billing.models.coupons import CouponApplicationQuerySet
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
    """Archive a coupon: it can't be applied any more, but stays where it is applied. A second call changes nothing."""
    return _set_archived(coupon, at=now, by=by, reason=reason)


def activate_coupon(coupon: Coupon, *, by: User | None, reason: str = "") -> Coupon:
    """Let an archived coupon be applied again. A second call changes nothing."""
    return _set_archived(coupon, at=None, by=by, reason=reason)


def _set_archived(coupon: Coupon, *, at: datetime | None, by: User | None, reason: str) -> Coupon:
    with transaction.atomic():
        locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
        if (locked.archived_at is None) != (at is None):
            locked.archived_at = at
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

    If it is applied there at that time, that application is returned, whatever its end: a repeated request changes
    nothing. After an application that has ended, the new one starts at the earlier one's end at the earliest. Raises
    `CannotApply` if the coupon is archived, can't be redeemed now, has reached its limit, has another currency than the
    subscription, or is applied there from a later time.
    """
    with transaction.atomic():
        locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
        starts_at = starts_at or now
        if ends_at is not None and ends_at <= starts_at:
            raise CannotApply("The end must be after the start.")
        same = CouponApplication.objects.filter(
            coupon=locked, customer=customer, subscription=subscription, invoice=None
        )
        existing = find_application(same, starts_at=starts_at, ends_at=ends_at, now=now)
        if existing is not None:
            return existing
        check_applicable(locked, customer, subscription, now=now)
        with recorded(by=by, reason=reason):
            return CouponApplication.objects.create(
                coupon=locked,
                customer=customer,
                subscription=subscription,
                starts_at=_free_from(same, starts_at, ends_at),
                ended_at=ends_at,
                reason=reason,
                applied_by=by,
                metadata=metadata or {},
            )


def find_application(
    applications: CouponApplicationQuerySet, *, starts_at: datetime, ends_at: datetime | None, now: datetime
) -> CouponApplication | None:
    """Find the application that a request to apply a coupon again would repeat. Raises `CannotApply`.

    An application that has ended counts only if it covers all of the requested time.
    """
    overlapping = applications.overlapping(starts_at, ends_at)
    current = overlapping.ending_after(now).order_by("starts_at").first()
    if current is not None and current.starts_at > starts_at:
        raise CannotApply(
            f"{current.coupon} is applied there from {current.starts_at:%Y-%m-%d %H:%M} UTC. End that first."
        )
    if current is None and ends_at is not None:
        return overlapping.filter(starts_at__lte=starts_at, ended_at__gte=ends_at).first()
    return current


def _free_from(applications: CouponApplicationQuerySet, starts_at: datetime, ends_at: datetime | None) -> datetime:
    """Return the start, or the end of applications that have ended since: they cover the time before."""
    last = applications.overlapping(starts_at, ends_at).order_by("-ended_at").first()
    if last is None or last.ended_at is None:
        return starts_at
    if ends_at is not None and last.ended_at >= ends_at:
        raise CannotApply(f"{last.coupon} was applied there until {last.ended_at:%Y-%m-%d %H:%M} UTC.")
    return last.ended_at


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


def check_on_invoice(coupon: Coupon, invoice: Invoice, *, now: datetime) -> None:
    """Raise `CannotApply` if the coupon can't reduce a one-off invoice now."""
    check_applicable(coupon, invoice.customer, None, now=now)
    if coupon.scope != CouponScope.EVERYTHING:
        scope = coupon.get_scope_display().lower()
        raise CannotApply(f"{coupon} applies to {scope}. Only a discount on everything reduces a one-off invoice.")
    if coupon.currency not in ("", invoice.currency):
        raise CannotApply(f"{coupon} is in {coupon.currency}; the invoice is in {invoice.currency}.")


def set_invoice_coupons(
    invoice: Invoice, coupons: Sequence[Coupon], uses: Iterable[CouponUse], *, now: datetime, by: User | None
) -> None:
    """Set the coupons of a one-off draft and their uses, whose application ids are those of the coupons.

    Each coupon that is new to the draft is redeemed; one that is removed can be redeemed again. Raises `CannotApply`.
    """
    kept = {application.coupon_id: application for application in invoice.own_coupons.all()}
    CouponUse.objects.filter(application__in=kept.values()).delete()
    applications: dict[int, CouponApplication] = {}
    with recorded(by=by):
        for coupon_id in kept.keys() - {coupon.pk for coupon in coupons}:
            kept.pop(coupon_id).delete()
        for coupon in sorted(coupons, key=lambda coupon: coupon.pk):
            locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
            if coupon.pk not in kept:
                check_on_invoice(locked, invoice, now=now)
                kept[coupon.pk] = CouponApplication.objects.create(
                    coupon=locked, customer=invoice.customer, invoice=invoice, starts_at=now, applied_by=by
                )
            applications[coupon.pk] = kept[coupon.pk]
    rows = list(uses)
    for use in rows:
        use.application = applications[use.application_id]
    CouponUse.objects.bulk_create(rows)


def end_application(
    application: CouponApplication, *, at: datetime, by: User | None, reason: str = ""
) -> CouponApplication:
    """End a coupon's application: invoices due from `at` on get no discount. An earlier end stays.

    Raises `CannotApply` for a coupon of a one-off invoice.
    """
    if application.invoice_id is not None:
        raise CannotApply("This discount is for one invoice only. Edit its draft instead.")
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
    if coupon.keeps_rest:
        return "until it is used up"
    return "one invoice" if coupon.duration == CouponDuration.ONCE else "all invoices"
