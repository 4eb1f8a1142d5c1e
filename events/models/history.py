"""Parts: immutable sets of sealed events, which have left the ledger and are kept in a store."""

from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class PartState(models.IntegerChoices):
    """How far a part is. Its events are in the ledger until it is published, and some of them until it is sealed."""

    PLANNED = 1, "Planned"
    PUBLISHED = 2, "Published"
    SEALED = 3, "Sealed"
    REMOVED = 4, "Removed"


class SealedParts(models.QuerySet["SealedPart"]):
    """Filters by state and time."""

    def unfinished(self) -> Self:
        """Filter to parts that are being written, or whose events are still in the ledger."""
        return self.filter(state__in=[PartState.PLANNED, PartState.PUBLISHED])

    def readable(self) -> Self:
        """Filter to parts that have events to read."""
        return self.filter(state__in=[PartState.PUBLISHED, PartState.SEALED], rows__gt=0)


class SealedPart(models.Model):
    """A set of events of a range of arrival, [first_event, last_event), written to the store once and never changed.

    A published part was read back from the store, and was equal to the ledger in the number and the checksum of its
    events. An event that is in a part and in the ledger counts as it is in the ledger.
    """

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=100, unique=True, help_text="The name in the store, never used again.")
    state = models.PositiveSmallIntegerField("status", choices=PartState, default=PartState.PLANNED)
    is_late = models.BooleanField(
        help_text="Whether its events arrived more than three days after they occurred. They have parts of their own."
    )
    first_event = models.BigIntegerField(help_text="The first position in the order of arrival.")
    last_event = models.BigIntegerField(help_text="The position after the last one.")
    occurred_from = models.DateTimeField(null=True, help_text="When its first event occurred.")
    occurred_until = models.DateTimeField(null=True, help_text="When its last event occurred.")
    rows = models.BigIntegerField(null=True, help_text="The number of events.")
    checksum = models.BigIntegerField(null=True, help_text="XOR of a hash of each event.")
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the stored object.")
    bytes = models.BigIntegerField(null=True, help_text="The size of the stored object.")
    returned = models.BigIntegerField(default=0, help_text="How many of its events are in the ledger again.")
    planned_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, help_text="When it had been read back, and was what was written.")
    waits_for = ArrayField(
        models.TextField(),
        null=True,
        editable=False,
        help_text="The transactions that ran after it was published: its events stay until these have ended.",
    )
    sealed_at = models.DateTimeField(null=True, help_text="When the last of its events left the ledger.")
    removed_at = models.DateTimeField(
        null=True, help_text="When retention or another part took its place. Its object is deleted some weeks later."
    )

    objects = SealedParts.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(name="part_has_range", condition=Q(first_event__lt=models.F("last_event"))),
        ]
        indexes: ClassVar = [
            models.Index(fields=["occurred_until", "occurred_from"], name="part_times", condition=Q(state__in=[2, 3])),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def get_state(self) -> str:
        """Return the state as the API names it."""
        return PartState(self.state).name.lower()
