"""Logs of the workers: processed batches, checks of usage against the ledger, large replays."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse


class ProcessedBatch(models.Model):
    """A transaction of the worker: how many events ended in which state, and how long the oldest had waited."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    oldest_received_at = models.DateTimeField()
    events = models.PositiveIntegerField(help_text="Taken from the inbox.")
    counted = models.PositiveIntegerField()
    partly = models.PositiveIntegerField()
    problems = models.PositiveIntegerField(help_text="Events that don't count at all.")
    duplicates = models.PositiveIntegerField()
    conflicts = models.PositiveIntegerField(help_text="The duplicates with different content.")

    class Meta:
        ordering: ClassVar = ["-finished_at"]
        verbose_name_plural = "processed batches"
        indexes: ClassVar = [models.Index(fields=["-finished_at"], name="processed_batch_newest")]

    def __str__(self) -> str:
        return f"{self.events} events at {self.finished_at:%Y-%m-%d %H:%M:%S}"


class UsageCheck(models.Model):
    """A recount of usage from the ledger compared with the stored usage, and whether the difference was applied."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    scope = models.JSONField(default=dict, help_text="Feature, customer and time range; empty means all.")
    buckets = models.PositiveBigIntegerField(default=0, help_text="The number of hours compared.")
    differing = models.PositiveBigIntegerField(default=0)
    differences = models.JSONField(default=list, help_text="The first hundred differences.")
    applied_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["-started_at"]

    def __str__(self) -> str:
        return f"Check of {self.started_at:%Y-%m-%d %H:%M}"


class LedgerHorizon(models.Model):
    """The hour up to which retention has removed events. Older usage is final, because it can't be recounted."""

    hour = models.DateTimeField(unique=True)
    pruned_at = models.DateTimeField()
    events = models.PositiveBigIntegerField(default=0, help_text="The number of events removed.")

    class Meta:
        ordering: ClassVar = ["-hour"]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M}"


class MendingKind(models.TextChoices):
    REPLAY = "replay", "Replay"
    DISMISS = "dismiss", "Dismissal"


class MendingRun(models.Model):
    """A replay or dismissal of many problems, which a worker does step by step.

    `action` and `parameters` select the problems, as in a fix. The run covers events up to `last_event` and has handled
    those up to `reached`. Both are ledger ids.
    """

    kind = models.CharField(max_length=8, choices=MendingKind)
    title = models.CharField(max_length=255)
    action = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    reason = models.CharField(max_length=255, blank=True)
    last_event = models.BigIntegerField()
    reached = models.BigIntegerField(default=0)
    events = models.PositiveBigIntegerField(
        null=True, help_text="The number of events at the start; empty until they are counted."
    )
    done = models.PositiveBigIntegerField(default=0)
    closed = models.PositiveBigIntegerField(default=0, help_text="The number of problems closed.")
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
