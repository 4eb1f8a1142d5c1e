"""Find single events, whether they are in the ledger or sealed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import TextField
from django.db.models.functions import Cast

from events.history.reading import load
from events.history.selection import EventSelection
from events.history.stores import is_on
from events.models import Event, SealedPart
from events.sql import COLUMNS, sections

FROM_SEALED = f"SELECT {COLUMNS}, properties::text AS exact FROM sealed"  # noqa: S608  constants


def find_events(event_ids: Sequence[str]) -> list[Any]:
    """Find events by their ids, in the order of arrival; `exact` of each is the JSON text of its properties.

    A sealed event isn't a row of the ledger: before it changes, it has to return there, see `changing`.
    """
    events = {event.pk: event for event in _in_ledger(event_id__in=event_ids)}
    missing = set(event_ids) - {event.event_id for event in events.values()}
    if missing and is_on():
        with transaction.atomic():
            if load_called(missing):
                events |= {event.pk: event for event in _in_scratch("event_id", list(missing))}
            # Again, because an event may have returned meanwhile.
            events |= {event.pk: event for event in _in_ledger(event_id__in=missing)}
    return [events[place] for place in sorted(events)]


def find_event(event_id: str) -> Any:
    """Find an event by its id; None if there is none."""
    return next(iter(find_events([event_id])), None)


def get_event(place: int) -> Any:
    """Find an event by its position in the order of arrival; None if there is none."""
    event = _in_ledger(pk=place).first()
    if event is None and is_on():
        with transaction.atomic():
            sealed = _in_scratch("id", [place]) if load([EventSelection(ids=[place])]) else []
            event = _in_ledger(pk=place).first() or next(iter(sealed), None)
    return event


def sealed_events_of(customer_id: int) -> Iterator[Any]:
    """Yield a customer's sealed events, part by part. Events that are in the ledger again aren't among them."""
    parts = SealedPart.objects.readable().order_by("pk").values_list("pk", flat=True) if is_on() else []
    for part in parts:
        with transaction.atomic():
            is_loaded = load([EventSelection(customers=[customer_id], part=part)])
            events = _in_scratch("customer_id", [customer_id]) if is_loaded else []
        yield from events


def _in_ledger(**condition: Any) -> Any:
    return Event.objects.filter(**condition).annotate(exact=Cast("properties", TextField()))


def _in_scratch(column: str, values: list[Any]) -> list[Any]:
    return list(Event.objects.raw(f"{FROM_SEALED} WHERE {column} = ANY(%s)", [values]))


def load_called(event_ids: Iterable[str]) -> bool:
    """Load sealed events by their ids into this transaction; return whether there are any."""
    return load(_select(set(event_ids))) if is_on() else False


def _select(event_ids: set[str]) -> list[EventSelection]:
    """Select sealed events in the parts that hold them."""
    by_part: dict[int, list[str]] = {}
    for event_id, part in parts_of(event_ids):
        by_part.setdefault(part, []).append(event_id)
    return [EventSelection(part=part, event_ids=ids) for part, ids in sorted(by_part.items())]


def parts_of(event_ids: Iterable[str]) -> list[tuple[str, int]]:
    """Return those of the event ids that are in a part, each with its part."""
    with connection.cursor() as cursor:
        cursor.execute(sections("history")["parts_of"], {"event_ids": sorted(event_ids)})
        rows: list[tuple[str, int]] = cursor.fetchall()
    return rows
