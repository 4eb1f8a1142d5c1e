"""What the workers did: processed batches and checks of usage against the ledger."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class ProcessedBatch(models.Model):
    """One transaction of the worker: how many events went which way, and how long the oldest had waited."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    oldest_received_at = models.DateTimeField()
    events = models.PositiveIntegerField(help_text="Taken from the inbox.")
    counted = models.PositiveIntegerField()
    partly = models.PositiveIntegerField()
    problems = models.PositiveIntegerField(help_text="Events that count for nothing.")
    duplicates = models.PositiveIntegerField()
    conflicts = models.PositiveIntegerField(help_text="Of the duplicates, those with another body.")

    class Meta:
        ordering: ClassVar = ["-finished_at"]
        verbose_name_plural = "processed batches"
        indexes: ClassVar = [models.Index(fields=["-finished_at"], name="processed_batch_newest")]

    def __str__(self) -> str:
        return f"{self.events} events at {self.finished_at:%Y-%m-%d %H:%M:%S}"


class UsageCheck(models.Model):
    """A recount of usage from the ledger, compared with what was kept, and whether the difference was applied."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    scope = models.JSONField(default=dict, help_text="Feature, customer and window; empty means all.")
    buckets = models.PositiveBigIntegerField(default=0, help_text="How many hours were compared.")
    differing = models.PositiveBigIntegerField(default=0)
    differences = models.JSONField(default=list, help_text="The first hundred.")
    applied_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["-started_at"]

    def __str__(self) -> str:
        return f"Check of {self.started_at:%Y-%m-%d %H:%M}"


class LedgerHorizon(models.Model):
    """Up to which hour retention has removed events. Older buckets are final: nothing is left to recount them from."""

    hour = models.DateTimeField(unique=True)
    pruned_at = models.DateTimeField()
    events = models.PositiveBigIntegerField(default=0, help_text="How many events were removed.")

    class Meta:
        ordering: ClassVar = ["-hour"]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M}"
