"""What the workers did: processed batches and checks of usage against the ledger."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse


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


class MendingKind(models.TextChoices):
    REPLAY = "replay", "Replay"
    DISMISS = "dismiss", "Dismissal"


class MendingRun(models.Model):
    """A replay or dismissal of many problems, which a worker does in steps: which ones, and how far it is.

    `action` and `parameters` name the problems as the fixes do. Events up to `last_event` are concerned; those up to
    `reached` are done. Both are ledger ids.
    """

    kind = models.CharField(max_length=8, choices=MendingKind)
    title = models.CharField(max_length=255)
    action = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    reason = models.CharField(max_length=255, blank=True)
    last_event = models.BigIntegerField()
    reached = models.BigIntegerField(default=0)
    events = models.PositiveBigIntegerField(null=True, help_text="How many waited when it began; empty until counted.")
    done = models.PositiveBigIntegerField(default=0)
    closed = models.PositiveBigIntegerField(default=0, help_text="Problems that it closed.")
    still_open = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = "large replay"
        ordering: ClassVar = ["-started_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "action", "parameters"],
                name="mending_runs_once_at_a_time",
                condition=Q(finished_at=None),
            ),
            models.CheckConstraint(name="dismissal_has_reason", condition=~Q(kind="dismiss") | ~Q(reason="")),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("admin:events_mendingrun_change", args=[self.pk])
