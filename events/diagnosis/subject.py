"""The event to diagnose: waiting in the inbox, in the ledger, or pasted by staff."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from events.history.lookup import find_event, get_event
from events.ingest.payload import IncomingEvent
from events.models import ApiKey, Event, EventState, InboxEvent, KnownId


class Place(StrEnum):
    """Where the event is."""

    WAITING = "waiting"
    LEDGER = "ledger"
    PASTED = "pasted"  # a dry run: stored nowhere


@dataclass(frozen=True, slots=True)
class Subject:
    """An event to diagnose. `properties` is its exact JSON text, `pk` its position in the order of arrival, or None."""

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
    shape_fault: str = ""  # why the API would refuse a pasted payload, as "{field} {reason}"

    @property
    def parsed(self) -> dict[str, Any]:
        """Return the properties as Python values, numbers as exact decimals. Anything but an object is empty."""
        values = json.loads(self.properties, parse_float=Decimal, parse_int=Decimal) if self.properties else {}
        return values if isinstance(values, dict) else {}


def subject_of(event: Event | InboxEvent | IncomingEvent | Subject, *, now: datetime) -> Subject:
    """Convert any form of an event. A stored event is read again, so that its numbers are exact.

    Raises LookupError if it is no longer stored there.
    """
    if isinstance(event, Subject):
        return event
    if isinstance(event, IncomingEvent):
        return pasted(event, now=now)
    is_waiting = isinstance(event, InboxEvent)
    subject = _waiting(InboxEvent.objects.at(event.pk)) if is_waiting else _stored(get_event(event.pk))
    if subject is None:
        raise LookupError(f"The event {event.event_id} has been processed or removed: look it up again by its id.")
    return subject


def find_subject(event_id: str) -> Subject | None:
    """Find an event by its id: in the ledger, else in the inbox (the first of several)."""
    return _stored(find_event(event_id)) or _waiting(InboxEvent.objects.called(event_id))


def was_pruned(event_id: str) -> bool:
    """Tell whether retention removed the event from the ledger. Its id stays used."""
    return bool(KnownId.objects.among([event_id]))


def pasted(event: IncomingEvent, *, now: datetime, shape_fault: str = "") -> Subject:
    """Convert a pasted event, which is stored nowhere."""
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


def _waiting(events: QuerySet[InboxEvent]) -> Subject | None:
    """Convert the first of waiting events."""
    rows: Any = events.select_related("api_key").defer("properties").order_by("pk")
    return _convert(rows.annotate(exact=Cast("properties", TextField())).first(), Place.WAITING)


def _stored(event: Any) -> Subject | None:
    """Convert an event of the ledger, sealed or not."""
    subject = _convert(event, Place.LEDGER)
    if subject is None:
        return None
    return replace(
        subject, state=EventState(event.state), customer_id=event.customer_id, processed_at=event.processed_at
    )


def _convert(row: Any, place: Place) -> Subject | None:
    if row is None:
        return None
    return Subject(
        place=place,
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
    )
