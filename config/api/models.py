"""Stored answers to requests that carry an `Idempotency-Key`."""

from django.db import models
from django.db.models.functions import Now


class KeptAnswer(models.Model):
    """The answer to a request with an `Idempotency-Key`, stored with its effect and returned again for 24 hours."""

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
