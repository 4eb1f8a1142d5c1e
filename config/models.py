from django.db import models
from django.db.models.functions import Now

from config.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage

__all__ = [
    "InstalledGrant",
    "InstalledSchedule",
    "KeptAnswer",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMessage",
]


class InstalledSchedule(models.Model):
    """A default schedule that was installed once, so that deleting it is not undone by the next migrate."""

    task = models.CharField(max_length=200, primary_key=True)
    installed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "installed schedule"

    def __str__(self) -> str:
        return self.task


class InstalledGrant(models.Model):
    """A permission that a default role was given once, so that taking it away is not undone by the next migrate."""

    role = models.CharField(max_length=150)
    permission = models.CharField(max_length=255)

    class Meta:
        verbose_name = "installed grant"
        constraints = [models.UniqueConstraint(fields=["role", "permission"], name="grant_installed_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.permission}"


class KeptAnswer(models.Model):
    """What a request with an `Idempotency-Key` was answered: written with its effect, given again for 24 hours."""

    caller_id = models.BigIntegerField(help_text="The API key's primary key.")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    content_type = models.CharField(max_length=100, blank=True)
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        verbose_name = "kept answer"
        constraints = [models.UniqueConstraint(fields=["caller_id", "key"], name="answer_kept_once")]

    def __str__(self) -> str:
        return f"{self.status} for {self.key}"
