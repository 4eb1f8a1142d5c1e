"""Month-end reports and the progress of their calculation."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class MonthEndReport(models.Model):
    """A month's usage by billing status and its unbilled revenue, calculated in chunks of customers.

    `found` holds the totals as JSON once all chunks have finished; the chunks are then deleted.
    """

    month = models.DateField(help_text="The first day of the month.")
    as_of = models.DateTimeField(help_text="The time that decides whether a period has ended.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    customers = models.PositiveIntegerField(default=0, help_text="Number of customers in the report.")
    found = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-month", "-as_of", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["month"], name="month_end_once_at_a_time", condition=Q(finished_at__isnull=True)
            ),
            models.CheckConstraint(name="finished_month_end_has_found", condition=Q(finished_at=None) | ~Q(found={})),
            models.CheckConstraint(name="month_end_named_by_first_day", condition=Q(month__day=1)),
        ]

    def __str__(self) -> str:
        return f"Month end of {self.month:%Y-%m}, as of {self.as_of:%Y-%m-%d %H:%M}"


class MonthEndChunk(models.Model):
    """A range of a report's customers, calculated by one worker at a time."""

    report = models.ForeignKey(MonthEndReport, models.CASCADE, db_index=False, related_name="chunks")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    customers = models.PositiveIntegerField()
    found = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["report", "first_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["report", "first_id"], name="month_end_chunk_once"),
            models.CheckConstraint(
                name="month_end_chunk_holds_customers", condition=Q(first_id__lte=F("last_id"), customers__gt=0)
            ),
            models.CheckConstraint(
                name="finished_month_end_chunk_has_found", condition=Q(finished_at=None) | ~Q(found={})
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_id}-{self.last_id}"
