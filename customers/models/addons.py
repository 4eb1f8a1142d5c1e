"""The add-ons of subscriptions: which one, from when, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from catalog.models import PlanVersion
from config.db import PublicIdField, Stamped, keep_rows
from config.enums import LabeledEnum
from customers.models.subscriptions import Subscription


class AddonStatus(LabeledEnum):
    PENDING = "pending", "Scheduled"
    ACTIVE = "active", "Active"
    ENDED = "cancelled", "Ended"


class SubscriptionAddon(Stamped):
    """A version of an add-on that a subscription has for a time. The same add-on can be there several times.

    The phases of the subscription point to versions that include it, which `customers.subscriptions.addons` keeps so.
    """

    public_id = PublicIdField("subaddon")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="addons")
    version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="subscription_addons")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Not served or charged from this time on.")
    removed_at = models.DateTimeField(null=True, editable=False, help_text="When the removal was requested.")
    reason = models.CharField(max_length=255, blank=True, help_text="Why it was added, or removed.")
    metadata = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["subscription", "starts_at", "pk"]
        default_permissions = ()  # who changes subscriptions changes their add-ons
        verbose_name = "add-on of a subscription"
        verbose_name_plural = "add-ons of subscriptions"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="subscription_addon_ends_after_start",
                condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")),
                violation_error_message="The add-on must not end before it starts.",
            )
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Protect(
                name="keep_subscription_addon",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__subscription_id__df=pgtrigger.F("new__subscription_id"))
                | pgtrigger.Q(old__version_id__df=pgtrigger.F("new__version_id"))
                | pgtrigger.Q(old__starts_at__df=pgtrigger.F("new__starts_at")),
            ),
            pgtrigger.Protect(name="keep_subscription_addon_row", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.version.plan} on {self.subscription}"

    def get_absolute_url(self) -> str:
        return self.subscription.get_absolute_url()

    def covers(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)

    def status_at(self, now: datetime) -> AddonStatus:
        """Return the status at a moment. An add-on ends with its subscription."""
        ends = [end for end in (self.ends_at, self.subscription.ended_at) if end is not None]
        if ends and min(ends) <= max(now, self.starts_at):
            return AddonStatus.ENDED
        return AddonStatus.PENDING if now < self.starts_at else AddonStatus.ACTIVE


auditlog.register(SubscriptionAddon, exclude_fields=["updated_at"])
