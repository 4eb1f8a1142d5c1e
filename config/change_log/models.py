"""Tables beside the change log: the seals of its entries, the results of verifying them, and how far it was copied."""

from typing import ClassVar

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q

from config.db import keep_rows


class ChangeSeal(models.Model):
    """The seal of one entry of the change log: the hash of its content, and its place in the chain of hashes.

    A trigger writes the seal in the transaction of the entry. Within seconds of the commit, the database numbers new
    seals and chains them: each `hash` covers the content and the hash before it. Nothing else writes seals. An entry is
    named without a foreign key, so that a missing entry is noticed.
    """

    entry_id = models.BigIntegerField(primary_key=True)
    actor_id = models.BigIntegerField(null=True, help_text="The author, who stays named here if the user is deleted.")
    content = models.BinaryField(help_text="The SHA-256 of the entry.")
    number = models.BigIntegerField(null=True, unique=True, help_text="The place in the chain, from 1, without gaps.")
    hash = models.BinaryField(null=True, help_text="The SHA-256 of the hash before, the number and the content.")

    class Meta:
        verbose_name = "seal"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="seal_number_with_hash",
                condition=Q(number=None, hash=None) | Q(number__isnull=False, hash__isnull=False),
            )
        ]
        indexes: ClassVar = [models.Index(fields=["entry_id"], name="seal_to_chain", condition=Q(number=None))]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Protect(name="keep_seal", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="keep_chained_seal",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__number__isnull=False)
                | pgtrigger.Q(old__entry_id__df=pgtrigger.F("new__entry_id"))
                | pgtrigger.Q(old__actor_id__df=pgtrigger.F("new__actor_id"))
                | pgtrigger.Q(old__content__df=pgtrigger.F("new__content")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number or 'new'}: entry {self.entry_id}"


class ChangeLogCheck(models.Model):
    """The result of verifying the whole change log."""

    checked_at = models.DateTimeField()
    entries = models.PositiveBigIntegerField(help_text="How many entries are in the chain.")
    last_hash = models.CharField(max_length=64, blank=True, help_text="The hash of the last of them, hexadecimal.")
    problem = models.TextField(blank=True, help_text="The first entry that isn't as it was written; blank if all are.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = "verification of the change log"
        verbose_name_plural = "verifications of the change log"
        get_latest_by = "pk"

    def __str__(self) -> str:
        return self.problem or f"{self.entries:,} entries, chain intact"


class ChangeLogCopy(models.Model):
    """How far the change log was copied to another system."""

    target = models.CharField(max_length=1000, primary_key=True)
    number = models.PositiveBigIntegerField(default=0, help_text="The place in the chain of the last copied entry.")
    copied_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=255, blank=True, help_text="Why the last attempt failed.")

    class Meta:
        verbose_name = "copy of the change log"
        verbose_name_plural = "copies of the change log"

    def __str__(self) -> str:
        return self.target
