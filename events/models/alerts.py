"""Causes that webhooks were sent for, and alerts on usage."""

from typing import ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from catalog.models import Feature
from catalog.models.features import FeatureKind
from config.db import NumericField, PublicIdField, Stamped
from customers.models import Subscription
from events.reasons import Reason


class ToldCause(models.Model):
    """A cause of open problems that a webhook was sent for. Deleted when none is open, so that it can open again."""

    reason = models.CharField(max_length=32, choices=Reason)
    event_name = models.TextField(blank=True)
    external_customer_id = models.TextField(blank=True)
    feature = models.ForeignKey(Feature, models.CASCADE, null=True, related_name="+")
    told_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "notified cause"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["reason", "event_name", "external_customer_id", "feature"],
                nulls_distinct=False,
                name="cause_told_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.event_name}{self.external_customer_id}"


class UsageAlert(Stamped):
    """Sends a webhook when a subscription's usage of a feature reaches a quantity, once per billing period."""

    public_id = PublicIdField("alert")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="usage_alerts", db_index=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="usage_alerts")
    threshold = NumericField(
        validators=[MinValueValidator(0)],
        help_text="Sent when usage in the current billing period, including free units, reaches this quantity.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    checked_until = models.DateTimeField(
        db_default=Now(), editable=False, help_text="Periods that ended by this time are no longer looked at."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "usage alert"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription", "feature", "threshold"],
                name="usage_alert_once",
                violation_error_code="unique",
                violation_error_message="This subscription already has an alert for this feature and quantity.",
            ),
            models.CheckConstraint(
                condition=Q(threshold__gt=0),
                name="usage_alert_above_zero",
                violation_error_message="Enter a positive quantity.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature} at {self.threshold:f}"

    def clean(self) -> None:
        if self.feature_id and self.feature.kind != FeatureKind.METERED:
            raise ValidationError({"feature": "This feature isn't metered, so it has no usage."})

    def get_absolute_url(self) -> str:
        return reverse("admin:events_usagealert_change", args=[self.pk])


class UsageAlertFiring(models.Model):
    """An alert that was reached in a billing period, and the usage at that time."""

    alert = models.ForeignKey(UsageAlert, models.CASCADE, related_name="firings", db_index=False)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    quantity = NumericField()
    fired_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "reached alert"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["alert", "period_start"], name="usage_alert_fires_once_a_period")
        ]

    def __str__(self) -> str:
        return f"{self.quantity:f} on {self.fired_at:%Y-%m-%d}"


auditlog.register(UsageAlert, exclude_fields=["checked_until", "updated_at"])
