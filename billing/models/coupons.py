"""Coupons, the customers and subscriptions they are applied to, and the invoices they reduced."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse

from billing.kinds import CouponScope
from billing.models.invoices import Invoice
from billing.money import known_currency, round_amount
from catalog.models import Feature, Plan
from config.db import AmountField, CurrencyField, PublicIdField, Stamped, keep_rows
from customers.models import Customer, Subscription
from customers.models.subscriptions import TimestampRange


def check_currency(currency: str) -> None:
    """Raise `ValidationError` unless the code is a currency in use today."""
    if not known_currency(currency):
        raise ValidationError({"currency": "Enter a current ISO 4217 currency code, for example USD."})


class CouponDuration(models.TextChoices):
    ONCE = "once", "One invoice"
    REPEATED = "repeated", "A number of invoices"
    FOREVER = "forever", "Forever"


class Coupon(Stamped):
    """A discount by a percentage, or by an amount in one currency. Its terms never change."""

    public_id = PublicIdField("coupon")
    code = models.CharField(
        max_length=64, unique=True, help_text="The code that customers and the API use, for example SUMMER."
    )
    name = models.CharField(max_length=255, help_text="Shown on invoices.")
    percent_off = models.DecimalField(
        "percentage off",
        max_digits=9,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )
    amount_off = AmountField(null=True, blank=True, help_text="Taken off each invoice, in the currency below.")
    currency = CurrencyField(blank=True, help_text="Required for an amount; leave blank for a percentage.")
    duration = models.CharField(max_length=8, choices=CouponDuration, default=CouponDuration.ONCE)
    periods = models.PositiveIntegerField(
        "number of invoices",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Only for a discount limited to a number of invoices.",
    )
    scope = models.CharField("applies to", max_length=16, choices=CouponScope.choices, default=CouponScope.EVERYTHING)
    features = models.ManyToManyField(
        Feature, blank=True, related_name="+", help_text="The discount applies to their usage."
    )
    plans = models.ManyToManyField(
        Plan, blank=True, related_name="+", help_text="The discount applies to their recurring fees."
    )
    keeps_rest = models.BooleanField(
        "keep the rest",
        default=False,
        db_default=False,
        help_text="For an amount off one invoice: what an invoice doesn't use is taken off the next ones.",
    )
    redeem_after = models.DateTimeField(null=True, blank=True, help_text="The discount can be applied from this time.")
    redeem_by = models.DateTimeField(null=True, blank=True, help_text="The discount can be applied before this time.")
    max_redemptions = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many times the discount can be applied in total.",
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["code"]
        verbose_name = "discount"
        constraints: ClassVar = [
            models.CheckConstraint(name="coupon_code_given", condition=~Q(code="")),
            models.CheckConstraint(
                name="coupon_percentage_or_amount",
                # A comparison with NULL passes a check constraint, so the columns must be tested for NULL as well.
                condition=Q(percent_off__isnull=False, percent_off__gt=0, percent_off__lte=100)
                & Q(amount_off=None, currency="")
                | Q(percent_off=None, amount_off__isnull=False, amount_off__gt=0, currency__regex="^[A-Z]{3}$"),
                violation_error_message="Enter either a positive percentage, or a positive amount and its currency.",
            ),
            models.CheckConstraint(
                name="coupon_periods_when_repeated",
                condition=Q(duration="repeated", periods__isnull=False, periods__gte=1)
                | ~Q(duration="repeated") & Q(periods=None),
                violation_error_message="Enter a number of invoices if, and only if, the discount is limited to it.",
            ),
            models.CheckConstraint(
                name="coupon_keeps_rest_of_an_amount",
                condition=Q(keeps_rest=False) | Q(amount_off__isnull=False, duration="once"),
                violation_error_message="Only an amount off one invoice can keep the rest for the next ones.",
            ),
            models.CheckConstraint(
                name="coupon_redeemable_in_order",
                condition=Q(redeem_after=None) | Q(redeem_by=None) | Q(redeem_by__gt=F("redeem_after")),
                violation_error_message="“Redeem by” must be later than “redeem after”.",
            ),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="keep_coupon",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__code__df=pgtrigger.F("new__code"))
                | pgtrigger.Q(old__percent_off__df=pgtrigger.F("new__percent_off"))
                | pgtrigger.Q(old__amount_off__df=pgtrigger.F("new__amount_off"))
                | pgtrigger.Q(old__currency__df=pgtrigger.F("new__currency"))
                | pgtrigger.Q(old__keeps_rest__df=pgtrigger.F("new__keeps_rest"))
                | pgtrigger.Q(old__duration__df=pgtrigger.F("new__duration"))
                | pgtrigger.Q(old__periods__df=pgtrigger.F("new__periods"))
                | pgtrigger.Q(old__scope__df=pgtrigger.F("new__scope")),
            )
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        if self.amount_off is None:
            return
        check_currency(self.currency)
        if self.amount_off != round_amount(self.amount_off, self.currency):
            raise ValidationError({"amount_off": f"{self.currency} doesn't have that many decimals."})

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_coupon_change", args=[self.pk])

    @property
    def limit(self) -> int | None:
        """The number of invoices that one application reduces; `None` for all, or until its amount is used up."""
        if self.keeps_rest:
            return None
        return {CouponDuration.ONCE: 1, CouponDuration.FOREVER: None}.get(self.duration, self.periods)  # type: ignore[call-overload, no-any-return]  # a duration is kept as its text


class CouponApplicationQuerySet(QuerySet["CouponApplication"]):
    """Questions about many applications, one query each. The clock is passed in."""

    def ending_after(self, at: datetime) -> CouponApplicationQuerySet:
        """Keep applications that haven't ended at the moment. Those that start later are kept."""
        return self.filter(Q(ended_at=None) | Q(ended_at__gt=at))

    def overlapping(self, starts_at: datetime, ends_at: datetime | None) -> CouponApplicationQuerySet:
        """Keep applications that are active in a span of time, for a moment at least."""
        before_end = Q() if ends_at is None else Q(starts_at__lt=ends_at)
        return self.ending_after(starts_at).filter(before_end).exclude(ended_at=F("starts_at"))


class CouponApplication(Stamped):
    """A coupon applied to a customer, to one subscription, or to one one-off invoice.

    It is active until it is ended or used up. One of an invoice reduces no other invoice.
    """

    public_id = PublicIdField("couponassoc")
    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="applications")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="coupons")
    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="coupons",
        help_text="Leave blank to apply the discount to all of the customer's subscriptions.",
    )
    invoice = models.ForeignKey(
        Invoice,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="own_coupons",
        help_text="The one-off invoice that it reduces; empty for invoices of subscriptions.",
    )
    starts_at = models.DateTimeField(help_text="Reduces invoices due for billing from this time.")
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="Invoices due for billing from this time are not reduced."
    )
    reason = models.CharField(max_length=255, blank=True)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = CouponApplicationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "applied discount"
        constraints: ClassVar = [
            ExclusionConstraint(
                name="coupon_applied_once_at_a_time",
                expressions=[
                    ("coupon", RangeOperators.EQUAL),
                    ("customer", RangeOperators.EQUAL),
                    # Two nulls would never be equal: 0 stands for all subscriptions of the customer.
                    (Coalesce("subscription_id", 0, output_field=models.BigIntegerField()), RangeOperators.EQUAL),
                    (TimestampRange("starts_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(invoice=None),
                violation_error_message="This discount is applied there already.",
            ),
            models.UniqueConstraint(
                fields=["coupon", "invoice"], name="coupon_applied_once_to_invoice", condition=Q(invoice__isnull=False)
            ),
            models.CheckConstraint(
                name="coupon_of_invoice_or_subscription", condition=Q(invoice=None) | Q(subscription=None)
            ),
            models.CheckConstraint(
                name="coupon_application_in_order", condition=Q(ended_at=None) | Q(ended_at__gte=F("starts_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.coupon} for {self.subscription or self.customer}"


KEEP_USE = """
    IF (TG_OP <> 'UPDATE' OR (to_jsonb(NEW) - 'returned_at') IS DISTINCT FROM (to_jsonb(OLD) - 'returned_at'))
        AND EXISTS (SELECT FROM billing_invoice WHERE id IN (OLD.invoice_id, NEW.invoice_id) AND state <> 'draft')
    THEN
        RAISE EXCEPTION 'the discounts of a finalized invoice never change: void it'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
"""


class CouponUse(models.Model):
    """An invoice reduced by a coupon. The use is returned if the invoice is voided, or recalculated without it."""

    application = models.ForeignKey(CouponApplication, models.PROTECT, related_name="uses")
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="coupon_uses")
    number = models.PositiveIntegerField(help_text="Counts the invoices that the application reduced, starting at 1.")
    amount = AmountField(help_text="The amount taken off the invoice.")
    returned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["application", "number"]
        verbose_name = "discount use"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["application", "invoice"], name="coupon_used_once_per_invoice"),
            models.UniqueConstraint(
                fields=["application", "number"], name="coupon_use_numbered_once", condition=Q(returned_at=None)
            ),
            models.CheckConstraint(name="coupon_use_takes_off", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="coupon_use_counted_from_one", condition=Q(number__gte=1)),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="keep_coupon_use",
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                func=KEEP_USE,
            ),
        ]

    def __str__(self) -> str:
        return f"Use {self.number} of {self.application_id}"


auditlog.register(Coupon, exclude_fields=["updated_at"], m2m_fields={"features", "plans"})
auditlog.register(CouponApplication, exclude_fields=["updated_at"])
