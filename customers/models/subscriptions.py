"""Subscriptions, and the history of each subscription as a chain of dated phases."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, cast

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Case, CharField, F, Func, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Greatest, Now
from django.urls import reverse

from catalog.models import IntervalUnit, PlanVersion
from config.db import CurrencyField, PublicIdField, Stamped, keep_rows, protect_unless_erasing
from customers.kinds import PhaseKind
from customers.models.customers import Customer
from customers.periods import Alignment
from customers.validators import validate_timezone

ALIGNMENT_LABELS = [
    (Alignment.ANNIVERSARY.value, "Anniversary: periods are counted from the anchor"),
    (Alignment.CALENDAR.value, "Calendar: periods start on the first of the month, quarter or year, or on Mondays"),
]


class SubscriptionStatus(models.TextChoices):
    """The status of a subscription at a moment, derived from its phases."""

    SCHEDULED = "scheduled", "Scheduled"
    TRIALING = "trialing", "In trial"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    CANCELLED = "cancelled", "Canceled"


class SubscriptionQuerySet(QuerySet["Subscription"]):
    def live(self, at: datetime) -> SubscriptionQuerySet:
        """Keep subscriptions that have started and not ended at the moment, paused subscriptions included."""
        return self.filter(Q(ended_at=None) | Q(ended_at__gt=at), started_at__lte=at)

    def with_current(self, at: datetime) -> SubscriptionQuerySet:
        """Add `status`, and `current_kind`, `current_plan` and `current_version` of the phase at the moment."""
        phase = SubscriptionPhase.objects.filter(
            Q(ends_at=None) | Q(ends_at__gt=at),
            subscription=OuterRef("pk"),
            superseded_at=None,
            starts_at__lte=at,
        )
        annotated = self.annotate(
            current_kind=Subquery(phase.values("kind")[:1]),
            current_plan=Subquery(phase.values("plan_version__plan__name")[:1]),
            current_version=Subquery(phase.values("plan_version__number")[:1]),
        ).annotate(
            status=Case(
                # A subscription that was canceled before its start never starts.
                When(Q(ended_at__lte=at) | Q(ended_at=F("started_at")), then=Value(SubscriptionStatus.CANCELLED)),
                When(started_at__gt=at, then=Value(SubscriptionStatus.SCHEDULED)),
                When(current_kind=PhaseKind.TRIAL, then=Value(SubscriptionStatus.TRIALING)),
                When(current_kind=PhaseKind.PAUSED, then=Value(SubscriptionStatus.PAUSED)),
                default=Value(SubscriptionStatus.ACTIVE),
                output_field=CharField(),
            )
        )
        return cast(SubscriptionQuerySet, annotated)


class TimestampRange(Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class Forever(Func):
    template = "'infinity'::timestamptz"
    output_field = models.DateTimeField()


# The time in which a subscription holds its lookup key: from its creation until its end, if that is later.
KEY_HELD = TimestampRange("created_at", Greatest("created_at", Coalesce("ended_at", Forever())))
KEY_IN_USE = "Subscription with this Lookup key already exists and hasn't ended."


class Subscription(Stamped):
    """A customer's agreement to be billed in one currency and interval. Its phases hold the plan for every moment."""

    public_id = PublicIdField("subs")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="subscriptions")
    key = models.CharField(
        "lookup key",
        max_length=255,
        db_index=True,
        null=True,
        blank=True,
        help_text="Your own identifier. Another subscription can have it once this one has ended.",
    )
    currency = CurrencyField()
    interval = models.CharField("billing interval", max_length=16, choices=IntervalUnit, default=IntervalUnit.MONTH)
    interval_count = models.PositiveIntegerField(default=1)
    alignment = models.CharField(
        "billing cycle", max_length=16, choices=ALIGNMENT_LABELS, default=Alignment.ANNIVERSARY.value
    )
    anchor = models.DateTimeField("billing anchor", help_text="Periods are counted from here.")
    timezone = models.CharField(
        "time zone",
        max_length=64,
        default="UTC",
        validators=[validate_timezone],
        help_text="Taken from the customer at the start.",
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Not served or billed from this time on.")
    cancelled_at = models.DateTimeField(
        "canceled", null=True, blank=True, editable=False, help_text="When the cancellation was requested."
    )
    prorate = models.BooleanField(default=True, help_text="Prorate fees by the day in short billing periods.")
    net_days = models.PositiveIntegerField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-started_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["customer", "started_at"], name="subscription_of_customer"),
            models.Index(fields=["-started_at", "-id"], name="subscription_newest_first"),
        ]
        constraints: ClassVar = [
            ExclusionConstraint(
                name="subscription_key_until_end",
                expressions=[("key", RangeOperators.EQUAL), (KEY_HELD, RangeOperators.OVERLAPS)],
                condition=Q(key__isnull=False),
                violation_error_code="unique",
                violation_error_message=KEY_IN_USE,
            ),
            models.CheckConstraint(
                name="subscription_ends_after_start",
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")),
                violation_error_message="The subscription must not end before it starts.",
            ),
            models.CheckConstraint(name="subscription_interval_count", condition=Q(interval_count__gte=1)),
            models.CheckConstraint(name="subscription_currency_code", condition=Q(currency__regex="^[A-Z]{3}$")),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="keep_subscription_terms",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id"))
                | pgtrigger.Q(old__currency__df=pgtrigger.F("new__currency"))
                | pgtrigger.Q(old__started_at__df=pgtrigger.F("new__started_at")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer} · {self.key or self.public_id}"

    def clean(self) -> None:
        if not self.key:
            return
        others = Subscription.objects.filter(key=self.key).exclude(pk=self.pk)
        if others.filter(Q(ended_at=None) | Q(ended_at__gt=Now())).exists():
            raise ValidationError({"key": ValidationError(KEY_IN_USE, code="unique")})

    def get_absolute_url(self) -> str:
        return reverse("admin:customers_subscription_change", args=[self.pk])


class SubscriptionPhase(models.Model):
    """A span of time of a subscription under one plan version.

    Rows are never edited. A change supersedes rows and adds new ones, so the history also shows what was in force
    before, who changed it, and why.
    """

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="phases")
    kind = models.CharField(max_length=8, choices=PhaseKind.choices, default=PhaseKind.ACTIVE)
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="phases")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=255, blank=True)
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    superseded_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["subscription", "starts_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(name="phase_not_empty", condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at"))),
            ExclusionConstraint(
                name="phase_one_at_a_time",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (TimestampRange("starts_at", "ends_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(superseded_at=None),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            protect_unless_erasing(
                "keep_phase",
                pgtrigger.Update,
                pgtrigger.Q(old__superseded_at__isnull=False)
                | pgtrigger.Q(new__superseded_at__isnull=True)
                | pgtrigger.Q(old__starts_at__df=pgtrigger.F("new__starts_at"))
                | pgtrigger.Q(old__ends_at__df=pgtrigger.F("new__ends_at"))
                | pgtrigger.Q(old__plan_version_id__df=pgtrigger.F("new__plan_version_id"))
                | pgtrigger.Q(old__kind__df=pgtrigger.F("new__kind")),
            ),
            pgtrigger.Protect(name="keep_phase_row", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} on {self.plan_version} from {self.starts_at:%Y-%m-%d %H:%M}"


auditlog.register(Subscription, exclude_fields=["updated_at"])
auditlog.register(SubscriptionPhase)
