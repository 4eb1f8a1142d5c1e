"""Duplicates of an event_id: repeats with the same content, and conflicts, which stay open until staff dismiss them."""

from typing import ClassVar, Self

from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now

from events.models.keys import ApiKey


class DuplicateKind(models.TextChoices):
    SAME = "same", "Same content"
    CONFLICT = "conflict", "Different content"
    UNREAD = "unread", "Not compared yet"


class Difference(models.TextChoices):
    """A field in which a conflict differs from the first event, the most telling one first."""

    CUSTOMER = "external_customer_id", "Another customer"
    SOURCE = "source", "Another source"
    EVENT_NAME = "event_name", "Another event name"
    TIMESTAMP = "timestamp", "Another timestamp"
    PROPERTIES = "properties", "Other properties"


class ConflictState(models.TextChoices):
    OPEN = "open", "Open"
    DISMISSED = "dismissed", "Dismissed"


IS_OPEN = Q(kind=DuplicateKind.CONFLICT, dismissed_at=None)
IS_DISMISSED = Q(kind=DuplicateKind.CONFLICT, dismissed_at__isnull=False)


# As the index and conflicts.sql write them. A release without `differs` may have written conflicts during an upgrade.
SENDER = Coalesce(F("api_key_id"), Value(0))
MAIN_DIFFERENCE = Coalesce(F("differs__0"), Value("properties", models.TextField()))


class Duplicates(models.QuerySet["DuplicateEvent"]):
    """Filters by the state and the cause of conflicts."""

    def open(self) -> Self:
        """Filter to conflicts that no one has dismissed."""
        return self.filter(IS_OPEN)

    def of_cause(self, api_key: ApiKey | None, difference: Difference) -> Self:
        """Filter to the open conflicts of an API key with this main difference."""
        cause = self.open().annotate(sender=SENDER, main_difference=MAIN_DIFFERENCE)
        return cause.filter(sender=api_key.pk if api_key else 0, main_difference=difference)


class DuplicateEvent(models.Model):
    """Duplicates of an event_id. Equal duplicates share a row; different content is kept for comparison.

    A conflict that staff dismissed stays dismissed if the same content arrives again.
    """

    event_id = models.TextField()
    kind = models.CharField(max_length=8, choices=DuplicateKind)
    differs = ArrayField(
        models.TextField(choices=Difference),
        blank=True,
        default=list,
        db_default=Value("{}"),
        help_text="The fields in which a conflict differs from the first event, the most telling one first.",
    )
    body_hash = models.CharField(
        max_length=32, blank=True, help_text="Tells different contents apart; empty for the same content."
    )
    body = models.JSONField(null=True, help_text="The duplicate's content, if it differs from the ledger's event.")
    source = models.TextField(blank=True)
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    event_name = models.TextField()
    external_customer_id = models.TextField()
    count = models.PositiveBigIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_index=False, related_name="+"
    )
    dismissal = models.CharField(max_length=255, blank=True, db_default="", help_text="Why a conflict was dismissed.")

    objects = Duplicates.as_manager()

    class Meta:
        ordering: ClassVar = ["-last_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event_id", "kind", "body_hash", "source", "api_key"],
                name="duplicate_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="conflict_dismissed_has_reason",
                condition=Q(dismissed_at=None, dismissal="") | IS_DISMISSED & ~Q(dismissal=""),
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["kind", "-last_at", "-id"], name="duplicate_newest"),
            models.Index(fields=["external_customer_id", "-last_at", "-id"], name="duplicate_of_customer"),
            models.Index(fields=["-last_at", "-id"], name="conflict_open_newest", condition=IS_OPEN),
            models.Index(SENDER, MAIN_DIFFERENCE, F("id"), name="conflict_open_of_cause", condition=IS_OPEN),
        ]

    def __str__(self) -> str:
        return self.event_id

    @property
    def is_open(self) -> bool:
        return self.kind == DuplicateKind.CONFLICT and self.dismissed_at is None

    @property
    def state(self) -> ConflictState | None:
        """Return whether a conflict is open or dismissed; None for a repeat with the same content."""
        if self.kind != DuplicateKind.CONFLICT:
            return None
        return ConflictState.OPEN if self.dismissed_at is None else ConflictState.DISMISSED

    @property
    def differences(self) -> list[Difference]:
        return [Difference(name) for name in self.differs]


# Rows are written in bulk by SQL, which is no change by a person. Their dismissal is.
DISMISSAL = ("dismissed_at", "dismissed_by", "dismissal")
auditlog.register(DuplicateEvent, include_fields=[*DISMISSAL])


class NotifiedConflict(models.Model):
    """A cause of open conflicts that a webhook was sent for. Deleted when none is open, so that it can open again."""

    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    difference = models.TextField(choices=Difference)
    notified_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["api_key", "difference"], nulls_distinct=False, name="conflict_notified_once"
            )
        ]

    def __str__(self) -> str:
        return self.get_difference_display()
