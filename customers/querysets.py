"""Questions about many customers and subscriptions. The clock is passed in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

from django.db import models
from django.db.models import Case, CharField, F, OuterRef, Q, QuerySet, Subquery, Value, When

if TYPE_CHECKING:
    from customers.models import Customer, Subscription  # noqa: F401  named by the strings below


class SubscriptionStatus(models.TextChoices):
    """How a subscription stands at a moment, worked out from its phases."""

    SCHEDULED = "scheduled", "Scheduled"
    TRIALING = "trialing", "In trial"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    CANCELLED = "cancelled", "Cancelled"


class CustomerQuerySet(QuerySet["Customer"]):
    def active(self) -> CustomerQuerySet:
        """Keep customers who are not archived."""
        return self.filter(state="active")


class SubscriptionQuerySet(QuerySet["Subscription"]):
    def live(self, at: datetime) -> SubscriptionQuerySet:
        """Keep subscriptions that have begun and not ended at the moment; paused ones too."""
        return self.filter(Q(ended_at=None) | Q(ended_at__gt=at), started_at__lte=at)

    def with_current(self, at: datetime) -> SubscriptionQuerySet:
        """Add `current_kind`, `current_plan` and `current_version` of the phase that holds the moment, and `status`."""
        from customers.models import SubscriptionPhase

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
                # One that was cancelled before its start never begins.
                When(Q(ended_at__lte=at) | Q(ended_at=F("started_at")), then=Value(SubscriptionStatus.CANCELLED)),
                When(started_at__gt=at, then=Value(SubscriptionStatus.SCHEDULED)),
                When(current_kind="trial", then=Value(SubscriptionStatus.TRIALING)),
                When(current_kind="paused", then=Value(SubscriptionStatus.PAUSED)),
                default=Value(SubscriptionStatus.ACTIVE),
                output_field=CharField(),
            )
        )
        return cast(SubscriptionQuerySet, annotated)
