"""Discounts: what a coupon takes off, whom it is applied to, and which invoices used it."""

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from billing.kinds import CouponScope
from billing.models.invoices import Invoice
from billing.money import known_currency, round_amount
from catalog.models import Feature, Plan
from config.db import AmountField, CurrencyField, PublicIdField, Stamped, keep_rows
from customers.models import Customer, Subscription


def check_currency(currency: str) -> None:
    """Refuse a code that isn't a currency of today: its amounts couldn't be rounded or written."""
    if not known_currency(currency):
        raise ValidationError({"currency": "Write a currency of today as its three ISO 4217 capitals."})


class CouponDuration(models.TextChoices):
    ONCE = "once", "Once: on one invoice"
    REPEATED = "repeated", "For a number of invoices"
    FOREVER = "forever", "For ever"


class Coupon(Stamped):
    """A reduction by a percentage, or by an amount in one currency. What it takes off never changes."""

    public_id = PublicIdField("coupon")
    code = models.CharField(max_length=64, unique=True, help_text="What customers and clients call it, such as SUMMER.")
    name = models.CharField(max_length=255, help_text="As invoices write it.")
    percent_off = models.DecimalField(
        "percentage off",
        max_digits=9,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )
    amount_off = AmountField(null=True, blank=True, help_text="Of every invoice that it reduces, in the currency.")
    currency = CurrencyField(blank=True, help_text="With an amount only.")
    duration = models.CharField(max_length=8, choices=CouponDuration, default=CouponDuration.ONCE)
    periods = models.PositiveIntegerField(
        "number of invoices",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="For a number of invoices: how many.",
    )
    scope = models.CharField("takes off", max_length=16, choices=CouponScope.choices, default=CouponScope.EVERYTHING)
    features = models.ManyToManyField(Feature, blank=True, related_name="+", help_text="Their usage.")
    plans = models.ManyToManyField(Plan, blank=True, related_name="+", help_text="Their recurring fees.")
    redeem_after = models.DateTimeField(null=True, blank=True, help_text="It can be applied from this moment on.")
    redeem_by = models.DateTimeField(null=True, blank=True, help_text="It can't be applied any more from then on.")
    max_redemptions = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="How often it can be applied in all."
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
                # A comparison with NULL is neither true nor false, and lets a row through: so "not NULL" is said, too.
                condition=Q(percent_off__isnull=False, percent_off__gt=0, percent_off__lte=100)
                & Q(amount_off=None, currency="")
                | Q(percent_off=None, amount_off__isnull=False, amount_off__gt=0, currency__regex="^[A-Z]{3}$"),
                violation_error_message="Give either a percentage above 0, or an amount above 0 and its currency.",
            ),
            models.CheckConstraint(
                name="coupon_periods_when_repeated",
                condition=Q(duration="repeated", periods__isnull=False, periods__gte=1)
                | ~Q(duration="repeated") & Q(periods=None),
                violation_error_message="Say for how many invoices, and only where it is for a number of them.",
            ),
            models.CheckConstraint(
                name="coupon_redeemable_in_order",
                condition=Q(redeem_after=None) | Q(redeem_by=None) | Q(redeem_by__gt=F("redeem_after")),
                violation_error_message="It can be applied for no moment at all: mend the dates.",
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
            raise ValidationError({"amount_off": f"It can't be paid in {self.currency}: too many decimals."})

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_coupon_change", args=[self.pk])

    @property
    def limit(self) -> int | None:
        """How many invoices it reduces where it is applied; `None` is every one."""
        return {CouponDuration.ONCE: 1, CouponDuration.FOREVER: None}.get(self.duration, self.periods)  # type: ignore[call-overload, no-any-return]  # a duration is kept as its text


class CouponApplication(Stamped):
    """A coupon at work for a customer, or for one subscription only, from a moment until it is ended or used up."""

    public_id = PublicIdField("couponassoc")
    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="applications")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="coupons")
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, blank=True, related_name="coupons",
        help_text="Empty: every subscription of the customer.",
    )  # fmt: skip
    starts_at = models.DateTimeField(help_text="It reduces invoices that fall due from this moment on.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="It reduces none that falls due from then on.")
    reason = models.CharField(max_length=255, blank=True)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "applied discount"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["coupon", "customer", "subscription"],
                name="coupon_applied_once",
                condition=Q(ended_at=None),
                nulls_distinct=False,
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
    """That an invoice was reduced. A void gives the use back; so does recomputing a draft that doesn't need it."""

    application = models.ForeignKey(CouponApplication, models.PROTECT, related_name="uses")
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="coupon_uses")
    number = models.PositiveIntegerField(help_text="Which of the invoices it reduces this one is, from 1.")
    amount = AmountField(help_text="What it took off.")
    returned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["application", "number"]
        verbose_name = "use of a discount"
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
