"""The way of an event: inbox, ledger, and the logs of repeats and voids."""

from typing import ClassVar, Self

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from config.db import keep_rows
from customers.models import Customer
from events.models.keys import ApiKey


class InboxRequest(models.Model):
    """The events of one accepted request, until they are processed: a row a request, so that it is written quickly.

    The arrays hold a place for every event. `occurred_at` is null where the sender gave no time; `ids` are drawn when
    the row is written.
    """

    received_at = models.DateTimeField()
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    ids = ArrayField(models.BigIntegerField(), help_text="Places in the order of arrival, which stay with the events.")
    event_ids = ArrayField(models.TextField())
    event_names = ArrayField(models.TextField())
    external_customer_ids = ArrayField(models.TextField())
    occurred_at = ArrayField(models.DateTimeField(null=True))
    sources = ArrayField(models.TextField())
    properties = ArrayField(models.JSONField())

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = "waiting request"
        triggers: ClassVar = [
            pgtrigger.Trigger(
                name="number_waiting_events",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF cardinality(NEW.event_ids) = 1 THEN  -- by far the quickest, and what single requests are
                        NEW.ids := ARRAY[nextval('events_arrival')];
                    ELSE
                        NEW.ids := ARRAY(
                            SELECT nextval('events_arrival') FROM generate_series(1, cardinality(NEW.event_ids))
                        );
                    END IF;
                    RETURN NEW;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"Request of {self.received_at:%Y-%m-%d %H:%M:%S}"


class WaitingEvents(models.QuerySet["InboxEvent"]):
    """Look-ups that find the request first: its arrays are gone through far faster than every event is made a row."""

    def called(self, event_id: str) -> Self:
        """Keep the events of an id; there may be several until they are processed."""
        return self.filter(event_id=event_id, request__in=InboxRequest.objects.filter(event_ids__contains=[event_id]))

    def at(self, place: int) -> Self:
        """Keep the one event at a place in the order of arrival."""
        return self.filter(pk=place, request__in=InboxRequest.objects.filter(ids__contains=[place]))


class InboxEvent(models.Model):
    """An accepted event that waits to be processed: a view of the waiting requests, to be read only.

    Its id is its place in the order of arrival, and stays with it. Ordered by the request first, a few of many are read
    from few requests; by anything else, from all of them.
    """

    request = models.ForeignKey(InboxRequest, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    event_id = models.TextField()
    event_name = models.TextField()
    external_customer_id = models.TextField()
    occurred_at = models.DateTimeField()
    has_timestamp = models.BooleanField(help_text="Whether the sender gave the time; otherwise it is the arrival.")
    received_at = models.DateTimeField()
    source = models.TextField(blank=True)
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    properties = models.JSONField(default=dict)

    objects = WaitingEvents.as_manager()

    class Meta:
        managed = False
        ordering: ClassVar = ["pk"]
        verbose_name = "waiting event"

    def __str__(self) -> str:
        return self.event_id


class EventState(models.IntegerChoices):
    """The one state that a processed event is in."""

    COUNTED = 1, "Counted"
    PARTLY = 2, "Partly counted"
    PROBLEM = 3, "Problem"
    VOIDED = 4, "Voided"
    DISMISSED = 5, "Dismissed"


class Event(models.Model):
    """The ledger: one row for every event_id ever accepted. What the sender said is never changed.

    `customer` is whom the external id meant when the event was processed or replayed. This table's foreign keys are
    kept by the statement that fills it and by customers and keys never being deleted, not by a check for every row.
    """

    id = models.BigIntegerField(primary_key=True, help_text="The place in the order of arrival.")
    customer = models.ForeignKey(
        Customer, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField()
    state = models.PositiveSmallIntegerField(choices=EventState)
    has_timestamp = models.BooleanField()
    event_id = models.TextField()
    event_name = models.TextField()
    external_customer_id = models.TextField()
    source = models.TextField(blank=True)
    properties = models.JSONField()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["event_id"], name="event_once_for_ever")]
        indexes: ClassVar = [
            models.Index(fields=["customer", "event_name", "occurred_at"], name="event_usage"),
            BrinIndex(fields=["received_at"], name="event_received", autosummarize=True),
            # For the dashboard's filter: states that are rare, so that counted events don't pay for it.
            models.Index(fields=["state", "-id"], name="event_not_counted", condition=~Q(state=1)),
        ]
        triggers: ClassVar = [keep_rows()]

    def __str__(self) -> str:
        return self.event_id


class EventVoid(models.Model):
    """Why an event was taken back, and by whom."""

    event = models.OneToOneField(Event, models.PROTECT, related_name="void")
    reason = models.CharField(max_length=255)
    voided_at = models.DateTimeField()
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="void_has_reason", condition=~Q(reason=""))]
        triggers: ClassVar = [keep_rows()]

    def __str__(self) -> str:
        return self.reason


class PrunedEventId(models.Model):
    """The id of an event that retention removed from the ledger: a repeat of it is still a repeat."""

    event_id = models.TextField(primary_key=True)

    def __str__(self) -> str:
        return self.event_id


class DuplicateKind(models.TextChoices):
    SAME = "same", "Same body"
    CONFLICT = "conflict", "Another body"


class DuplicateEvent(models.Model):
    """Repeats of an event_id. Equal repeats share a row; one with another body keeps it for comparison."""

    event_id = models.TextField()
    kind = models.CharField(max_length=8, choices=DuplicateKind)
    body_hash = models.CharField(
        max_length=32, blank=True, help_text="Tells conflicting bodies apart; empty for the same body."
    )
    body = models.JSONField(null=True, help_text="What the repeat said, when that differs from the ledger's event.")
    source = models.TextField(blank=True)
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    event_name = models.TextField()
    external_customer_id = models.TextField()
    count = models.PositiveBigIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-last_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event_id", "kind", "body_hash", "source", "api_key"],
                name="duplicate_once",
                nulls_distinct=False,
            )
        ]
        indexes: ClassVar = [models.Index(fields=["kind", "-last_at", "-id"], name="duplicate_newest")]

    def __str__(self) -> str:
        return self.event_id
