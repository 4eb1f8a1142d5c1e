"""Problems: why events don't count, and how each problem was closed."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from catalog.models import Feature
from events.models.ledger import Event
from events.reasons import Reason


class ProblemState(models.IntegerChoices):
    OPEN = 1, "Open"
    RESOLVED = 2, "Resolved"
    DISMISSED = 3, "Dismissed"
    VOIDED = 4, "Voided"


class Problem(models.Model):
    """Why an event doesn't count, for a feature or (without a feature) at all. Kept as long as the event."""

    event = models.ForeignKey(Event, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="problems")
    feature = models.ForeignKey(Feature, models.PROTECT, null=True, db_index=False, related_name="problems")
    reason = models.CharField(max_length=32, choices=Reason)
    detail = models.JSONField(default=dict, help_text="Details, for example the value that isn't a number.")
    judged_by = models.JSONField(default=dict, help_text="The configuration when the event was processed.")
    event_name = models.TextField()
    external_customer_id = models.TextField()
    occurred_at = models.DateTimeField()
    state = models.PositiveSmallIntegerField("status", choices=ProblemState, default=ProblemState.OPEN)
    created_at = models.DateTimeField()
    judged_at = models.DateTimeField(help_text="When processing or a replay last found the problem.")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    closing = models.CharField(max_length=255, blank=True, help_text="How it was closed, or why it was dismissed.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event", "feature", "reason"],
                name="problem_open_once",
                nulls_distinct=False,
                condition=Q(state=1),
            ),
            models.CheckConstraint(
                name="problem_closed_has_time",
                condition=Q(state=1, closed_at=None) | ~Q(state=1) & Q(closed_at__isnull=False),
            ),
            models.CheckConstraint(name="problem_dismissed_has_reason", condition=~Q(state=3) | ~Q(closing="")),
        ]
        indexes: ClassVar = [
            models.Index(fields=["event"], name="problem_event"),
            # Includes every column that grouping by cause reads, so that it doesn't read the rows.
            models.Index(
                fields=["reason", "event_name", "external_customer_id"],
                include=["feature", "occurred_at"],
                name="problem_open_of_cause",
                condition=Q(state=1),
            ),
            models.Index(
                fields=["external_customer_id", "reason"],
                name="problem_open_by_customer",
                condition=Q(state=1),
            ),
            models.Index(fields=["state", "-id"], name="problem_newest"),
            models.Index(fields=["external_customer_id", "state", "-id"], name="problem_of_customer"),
        ]

    def __str__(self) -> str:
        return self.get_reason_display()
