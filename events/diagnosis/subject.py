"""The event that is diagnosed, wherever it is: waiting, in the ledger, only remembered by its id, or just pasted."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from events.ingest.payload import IncomingEvent
from events.models import ApiKey, Event, EventState, InboxEvent, PrunedEventId


class Place(StrEnum):
    """Where the event is."""

    WAITING = "waiting"
    LEDGER = "ledger"
    PASTED = "pasted"  # a dry run: stored nowhere


@dataclass(frozen=True, slots=True)
class Subject:
    """An event to diagnose. `properties` is its exact JSON text; `pk` its place in the order of arrival, if stored."""

    place: Place
    event_id: str
    event_name: str
    external_customer_id: str
    occurred_at: datetime
    has_timestamp: bool
    received_at: datetime
    source: str
    properties: str
    pk: int | None = None
    state: EventState | None = None
    customer_id: int | None = None
    processed_at: datetime | None = None
    api_key: ApiKey | None = None
    shape_fault: str = ""  # why a pasted payload would be refused, as "{field} {reason}"

    @property
    def parsed(self) -> dict[str, Any]:
        """Return the properties as Python values, numbers as exact decimals. What is no object has none."""
        found = json.loads(self.properties, parse_float=Decimal, parse_int=Decimal) if self.properties else {}
        return found if isinstance(found, dict) else {}


def subject_of(event: Event | InboxEvent | IncomingEvent | Subject, *, now: datetime) -> Subject:
    """Bring any form of an event into one. A stored one is read again, so that its numbers are exact."""
    if isinstance(event, Subject):
        return event
    if isinstance(event, IncomingEvent):
        return pasted(event, now=now)
    kept = InboxEvent.objects.at(event.pk) if isinstance(event, InboxEvent) else Event.objects.filter(pk=event.pk)
    found = _stored(kept)
    if found is None:
        raise LookupError(f"The event {event.event_id} is no longer where it was: look it up again by its id.")
    return found


def find_subject(event_id: str) -> Subject | None:
    """Find an event by its id: in the ledger, else waiting (the first of several). None where it is in neither."""
    return _stored(Event.objects.filter(event_id=event_id)) or _stored(InboxEvent.objects.called(event_id))


def was_pruned(event_id: str) -> bool:
    """Tell whether retention removed the event from the ledger; a repeat of it is still a repeat."""
    return PrunedEventId.objects.filter(event_id=event_id).exists()


def pasted(event: IncomingEvent, *, now: datetime, shape_fault: str = "") -> Subject:
    """Make a subject of an event that is stored nowhere."""
    return Subject(
        place=Place.PASTED,
        event_id=event.event_id,
        event_name=event.event_name,
        external_customer_id=event.external_customer_id,
        occurred_at=event.occurred_at if event.has_timestamp else now,
        has_timestamp=event.has_timestamp,
        received_at=now,
        source=event.source,
        properties=event.properties,
        shape_fault=shape_fault,
    )


def _stored(kept: QuerySet[Event] | QuerySet[InboxEvent]) -> Subject | None:
    rows: Any = kept.select_related("api_key").defer("properties").order_by("pk")
    row = rows.annotate(exact=Cast("properties", TextField())).first()
    if row is None:
        return None
    is_ledger = rows.model is Event
    return Subject(
        place=Place.LEDGER if is_ledger else Place.WAITING,
        pk=row.pk,
        event_id=row.event_id,
        event_name=row.event_name,
        external_customer_id=row.external_customer_id,
        occurred_at=row.occurred_at,
        has_timestamp=row.has_timestamp,
        received_at=row.received_at,
        source=row.source,
        properties=row.exact,
        api_key=row.api_key if row.api_key_id else None,
        state=EventState(row.state) if is_ledger else None,
        customer_id=row.customer_id if is_ledger else None,
        processed_at=row.processed_at if is_ledger else None,
    )
