"""Erasures of customers' personal data, and the keys that encrypt personal data in the change log."""

from typing import ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from config.db import PublicIdField
from config.db.encrypted import EncryptedTextField


class ErasureStatus(models.TextChoices):
    """How far the erasure of a customer's personal data is."""

    NONE = "none", "Not requested"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"


class PersonalKey(models.Model):
    """The key of one customer's personal data in the change log. Deleting the row makes that data unreadable.

    The change log itself never changes: its chain of hashes covers the encrypted values.
    """

    customer_id = models.BigIntegerField(unique=True)
    key = EncryptedTextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "key of personal data"
        verbose_name_plural = "keys of personal data"

    def __str__(self) -> str:
        return f"Key of customer {self.customer_id}"


class PersonalDataErasure(models.Model):
    """The erasure of a customer's personal data: who decided it, why, and how far it is.

    `step` is the step that is next, and `reached` the last row that it has handled. After `finished_at`, what arrives
    later is erased every day, and kept documents once the law no longer requires them.
    """

    public_id = PublicIdField("erasure")
    customer_id = models.BigIntegerField(unique=True, editable=False)
    customer_public_id = models.CharField("customer", max_length=40, editable=False)
    replaces_external_id = models.BooleanField(
        "replaces the external ID", default=False, help_text="Because the external ID itself is personal data."
    )
    reason = models.CharField(max_length=255)
    started_at = models.DateTimeField()
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    step = models.PositiveSmallIntegerField(default=0, editable=False)
    reached = models.BigIntegerField(default=0, editable=False)
    erased = models.PositiveBigIntegerField(default=0, editable=False, help_text="Rows whose personal data was erased.")
    last_event = models.BigIntegerField(default=0, editable=False, help_text="Events up to here were erased.")
    checked_at = models.DateTimeField(null=True, editable=False, help_text="When all was looked through last.")
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-started_at"]
        verbose_name = "erasure of personal data"
        verbose_name_plural = "erasures of personal data"
        constraints: ClassVar = [
            models.CheckConstraint(name="erasure_has_reason", condition=~models.Q(reason="")),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="erasure_unfinished", condition=models.Q(finished_at=None)),
        ]

    def __str__(self) -> str:
        return f"Erasure of {self.customer_public_id}"

    @property
    def status(self) -> ErasureStatus:
        return ErasureStatus.RUNNING if self.finished_at is None else ErasureStatus.FINISHED


auditlog.register(PersonalDataErasure, exclude_fields=["step", "reached", "erased", "last_event", "checked_at"])
