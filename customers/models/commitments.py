"""What a customer commits to spend on the usage of a subscription."""

from __future__ import annotations

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q

from config.db import AmountField, NumericField, PublicIdField, Stamped, keep_rows
from customers.kinds import CommitmentKind
from customers.models.subscriptions import Subscription, TimestampRange


class Commitment(Stamped):
    """An amount that a customer commits to for the usage of a subscription, in every term of some billing periods.

    Only its end ever changes. If it ends when it starts, it was withdrawn.
    """

    public_id = PublicIdField("commit")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="commitments")
    kind = models.CharField(max_length=16, choices=CommitmentKind.choices, default=CommitmentKind.MINIMUM)
    amount = AmountField(help_text="For one term, before taxes.")
    overage_factor = NumericField(
        default=1, help_text="Usage above the amount costs its price times this number. 1 is the list price."
    )
    periods = models.PositiveIntegerField(
        "billing periods per term", default=1, help_text="12 for a year that is billed monthly."
    )
    starts_at = models.DateTimeField(help_text="The start of a billing period. The first term starts then.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="No term goes on after this time.")
    recorded_at = models.DateTimeField(editable=False)

    class Meta:
        ordering: ClassVar = ["subscription", "starts_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(name="commitment_positive", condition=Q(amount__gt=0, overage_factor__gt=0)),
            models.CheckConstraint(name="commitment_periods", condition=Q(periods__gte=1)),
            models.CheckConstraint(
                name="commitment_ends_after_start", condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at"))
            ),
            ExclusionConstraint(
                name="commitment_one_at_a_time",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (TimestampRange("starts_at", "ends_at"), RangeOperators.OVERLAPS),
                ],
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Protect(name="keep_commitment_row", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="keep_commitment",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__subscription_id__df=pgtrigger.F("new__subscription_id"))
                | pgtrigger.Q(old__kind__df=pgtrigger.F("new__kind"))
                | pgtrigger.Q(old__amount__df=pgtrigger.F("new__amount"))
                | pgtrigger.Q(old__overage_factor__df=pgtrigger.F("new__overage_factor"))
                | pgtrigger.Q(old__periods__df=pgtrigger.F("new__periods"))
                | pgtrigger.Q(old__starts_at__df=pgtrigger.F("new__starts_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{CommitmentKind(self.kind).label.partition(':')[0]} of {self.amount:f} {self.subscription.currency}"


auditlog.register(Commitment, exclude_fields=["updated_at"])
