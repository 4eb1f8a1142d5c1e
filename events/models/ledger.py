"""Events: the inbox, the ledger, and the log of voids."""

from collections.abc import Sequence
from typing import ClassVar, Self

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import connection, models
from django.db.models import Q

from config.db import keep_rows
from customers.models import Customer
from events.models.keys import ApiKey


class CustomersRequests(models.Manager["InboxRequest"]):
    """The requests of customers. What the self-test sends is in the inbox for a second, and belongs to no one."""

    def get_queryset(self) -> models.QuerySet["InboxRequest"]:
        own_keys = ApiKey.objects.filter(is_self_test=True).values("pk")
        return super().get_queryset().exclude(api_key__in=own_keys)


class InboxRequest(models.Model):
    """The events of an accepted request until they are processed. One row per request is quick to write.

    The arrays have one element per event. `occurred_at` is null if the sender gave no timestamp; `ids` are assigned
    when the row is written.
    """

    received_at = models.DateTimeField()
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    ids = ArrayField(models.BigIntegerField(), help_text="Positions in the order of arrival; the events keep them.")
    event_ids = ArrayField(models.TextField())
    event_names = ArrayField(models.TextField())
    external_customer_ids = ArrayField(models.TextField())
    occurred_at = ArrayField(models.DateTimeField(null=True))
    sources = ArrayField(models.TextField())
    properties = ArrayField(models.JSONField())

    objects = CustomersRequests()
    with_self_test: ClassVar[models.Manager["InboxRequest"]] = models.Manager()

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
    """Lookups that find the request first: searching its arrays is much faster than turning every event into a row."""

    def called(self, event_id: str) -> Self:
        """Filter to the events with an id; there may be several until they are processed."""
        return self.filter(event_id=event_id, request__in=InboxRequest.objects.filter(event_ids__contains=[event_id]))

    def at(self, place: int) -> Self:
        """Filter to the event at a position in the order of arrival."""
        return self.filter(pk=place, request__in=InboxRequest.objects.filter(ids__contains=[place]))


class InboxEvent(models.Model):
    """An accepted event that is waiting to be processed: a read-only database view of the waiting requests.

    Its id is its position in the order of arrival, and is kept in the ledger. Order by the request first to read a page
    from few requests; any other order reads all of them.
    """

    request = models.ForeignKey(InboxRequest, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    event_id = models.TextField()
    event_name = models.TextField()
    external_customer_id = models.TextField()
    occurred_at = models.DateTimeField()
    has_timestamp = models.BooleanField(
        help_text="Whether the sender gave a timestamp; otherwise the time is the time of arrival."
    )
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
    """The state of a processed event."""

    COUNTED = 1, "Counted"
    PARTLY = 2, "Partly counted"
    PROBLEM = 3, "Problem"
    VOIDED = 4, "Voided"
    DISMISSED = 5, "Dismissed"


class Event(models.Model):
    """The ledger: one row for every accepted event_id. The sender's data is never changed.

    `customer` is the customer with the external id when the event was processed or replayed. Foreign keys aren't
    checked per row: the statement that fills the table reads existing rows, and customers and keys are never deleted.
    """

    id = models.BigIntegerField(primary_key=True, help_text="The position in the order of arrival.")
    customer = models.ForeignKey(
        Customer, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField()
    state = models.PositiveSmallIntegerField("status", choices=EventState)
    has_timestamp = models.BooleanField()
    event_id = models.TextField()
    event_name = models.TextField()
    external_customer_id = models.TextField()
    source = models.TextField(blank=True)
    properties = models.JSONField()
    is_touched = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Whether the event was changed after it was processed: by a replay, a void or a dismissal.",
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["event_id"], name="event_once_for_ever")]
        indexes: ClassVar = [
            models.Index(fields=["customer", "event_name", "occurred_at"], name="event_usage"),
            models.Index(fields=["customer", "-id"], name="event_of_customer"),
            BrinIndex(fields=["received_at"], name="event_received", autosummarize=True),
            # For the dashboard's filter: only the rare states, so that counted events don't pay for the index.
            models.Index(fields=["state", "-id"], name="event_not_counted", condition=~Q(state=1)),
        ]
        triggers: ClassVar = [keep_rows()]

    def __str__(self) -> str:
        return self.event_id


class EventVoid(models.Model):
    """The reason for voiding an event, and the user who voided it.

    The foreign key isn't checked by the database, which would make deleting an event many times dearer. Only retention
    deletes events, with their voids and problems.
    """

    event = models.OneToOneField(Event, models.DO_NOTHING, db_constraint=False, related_name="void")
    reason = models.CharField(max_length=255)
    voided_at = models.DateTimeField()
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="void_has_reason", condition=~Q(reason=""))]
        triggers: ClassVar = [keep_rows()]

    def __str__(self) -> str:
        return self.reason


class PrunedEventId(models.Model):
    """The id of an event that retention removed, for processes of the last release. The next one drops the table."""

    event_id = models.TextField(primary_key=True)

    def __str__(self) -> str:
        return self.event_id


class KnownIds(models.QuerySet["KnownId"]):
    """Lookups by the id as it was sent."""

    def among(self, event_ids: Sequence[str]) -> set[str]:
        """Return those of the event ids that are known."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sent.event_id FROM unnest(%s::text[]) AS sent (event_id)"
                " JOIN events_knownid AS known ON known.key = events_key(sent.event_id)",
                [list(event_ids)],
            )
            return {row[0] for row in cursor.fetchall()}


class KnownId(models.Model):
    """The id of an event that has left the ledger: sending it again is still a duplicate."""

    key = models.UUIDField(primary_key=True, help_text="The event_id if it is a UUID, else a part of its SHA-256.")
    part = models.IntegerField(null=True, help_text="The part that the event is in. Without one, retention removed it.")

    objects = KnownIds.as_manager()

    def __str__(self) -> str:
        return str(self.key)
