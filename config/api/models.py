"""Stored answers to requests that carry an `Idempotency-Key`, and what was sent with an `idempotency_key`."""

from django.db import models
from django.db.models.functions import Now


class SentBody(models.Model):
    """The hash of the request that first used an `idempotency_key` in its body at this path. Kept forever."""

    path = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "sent body"
        constraints = [models.UniqueConstraint(fields=["path", "key"], name="body_sent_once")]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"


class KeptAnswer(models.Model):
    """The answer to a request with an `Idempotency-Key`, stored with its effect and returned again for 24 hours."""

    caller_id = models.BigIntegerField(help_text="The primary key of the API key, or of the key that it replaced.")
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
