"""Which processes live, which beat starts the schedules, how the tasks run, and how large the database was."""

from typing import ClassVar

from django.db import models

from config.alarms.pace import paced

SILENT_AFTER = paced(seconds=45)
STARTS_FOR = paced(seconds=90)


class Process(models.TextChoices):
    """A kind of process, or the checks, which are done by a worker or else by a web process."""

    WEB = "web", "Web"
    WORKER = "worker", "Worker"
    BEAT = "beat", "Beat"
    CHECKS = "checks", "Checks for alarms"


class Heartbeat(models.Model):
    """When a process was last alive, by the database's clock."""

    process = models.CharField(max_length=10, choices=Process)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=50)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    clock_ahead_s = models.FloatField(help_text="How far its clock is ahead of the database's, in seconds.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "host", "pid"], name="heartbeat_of_process")
        ]

    def __str__(self) -> str:
        return f"{self.get_process_display()} on {self.host} ({self.pid})"


class SchedulingLease(models.Model):
    """Which beat starts the schedules, and until when by the database's clock, unless renewed. One row at most."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    holder = models.UUIDField(help_text="A process, also if another one has the same host and process ID.")
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    since = models.DateTimeField()
    ends_at = models.DateTimeField()

    class Meta:
        verbose_name = "scheduling lease"
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="one_scheduling_lease")]

    def __str__(self) -> str:
        return f"{self.host} ({self.pid})"


class TaskRecord(models.Model):
    """How a task ran: when it started and ended last, how often it ran, and since when it fails.

    Workers write it at most every ten seconds, so the last runs of frequent tasks may be missing from the counts.
    """

    task = models.CharField(max_length=200, primary_key=True)
    started_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True, help_text="The first failure since the last success.")
    error = models.CharField(max_length=500, blank=True, help_text="Of the last failure.")
    last_s = models.FloatField(default=0, help_text="How long the last run took.")
    runs = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveBigIntegerField(default=0)
    total_s = models.FloatField(default=0)

    class Meta:
        verbose_name = "task record"

    def __str__(self) -> str:
        return self.task


class DatabaseSize(models.Model):
    """The size of the database, once a day."""

    day = models.DateField(primary_key=True)
    bytes = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = "database size"

    def __str__(self) -> str:
        return f"{self.day}: {self.bytes:,} bytes"
