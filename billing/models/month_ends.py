"""Month-end reports, the progress of their calculation, and closed months."""

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from config.db import PublicIdField, keep_rows


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


FREEZE_CLOSING = """
    IF to_jsonb(NEW) - reopening IS DISTINCT FROM to_jsonb(OLD) - reopening OR OLD.reopened_at IS NOT NULL THEN
        RAISE EXCEPTION 'the figures of a closed month never change: reopen it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
"""


class MonthClosing(models.Model):
    """A closed month: who closed it, when, and the report's rows at that moment. Reopening needs a reason."""

    public_id = PublicIdField("mclo")
    month = models.DateField(help_text="The first day of the month.")
    closed_at = models.DateTimeField()
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    figures = models.JSONField(help_text="The rows of the month-end report, with amounts as texts.")
    reopened_at = models.DateTimeField(null=True)
    reopened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reopen_reason = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-month", "-pk"]
        permissions: ClassVar = [("close_monthclosing", "Can close and reopen months")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["month"], name="month_closed_once", condition=Q(reopened_at=None)),
            models.CheckConstraint(name="closed_month_named_by_first_day", condition=Q(month__day=1)),
            models.CheckConstraint(
                name="month_reopened_with_reason",
                condition=Q(reopened_at=None, reopen_reason="") | Q(reopened_at__isnull=False) & ~Q(reopen_reason=""),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Protect(name="keep_month_closing", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="freeze_month_closing",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                declare=[("reopening", "text[] := ARRAY['reopened_at', 'reopened_by_id', 'reopen_reason']")],
                func=FREEZE_CLOSING,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}, closed on {self.closed_at:%Y-%m-%d}"


auditlog.register(MonthClosing, exclude_fields=["figures"])
