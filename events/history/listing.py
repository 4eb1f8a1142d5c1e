"""List sealed events in the order of arrival, part by part, until a page is full."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import F, Sum

from events.history import transfer
from events.history.locks import share_parts
from events.history.lookup import FROM_SEALED, parts_of
from events.history.reading import TooManySealed
from events.history.selection import EventSelection
from events.history.stores import get_store, is_on
from events.models import Event, PartState, SealedPart
from events.sql import COLUMNS, compose, sections

MOST_SEARCHED = 500_000
CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class SealedFilter:
    """What a store selects, and conditions on the rest, which PostgreSQL judges, with their parameters."""

    selection: EventSelection
    conditions: Sequence[str] = ()
    parameters: Sequence[Any] = ()


def list_sealed(wanted: SealedFilter, *, newest: bool, size: int) -> list[Any]:
    """Return sealed events that aren't in the ledger, at most `size`, in the order of arrival or the reverse.

    Call it in a transaction: until its end, these events stay where they are. Raises TooManySealed.
    """
    events: list[Any] = []
    searched = 0
    for first_event in _ranges(wanted.selection, newest=newest):
        for found, read in _search_range(first_event, wanted, newest=newest, size=size):
            events += found[: size - len(events)]
            searched += read
            if len(events) == size:
                return events
            if searched > MOST_SEARCHED:
                raise TooManySealed(
                    f"More than {MOST_SEARCHED:,} sealed events would be searched. Choose a shorter time range, "
                    "a customer or an event name."
                )
    return events


def count_sealed(wanted: SealedFilter, *, most: int) -> int:
    """Count sealed events that aren't in the ledger, up to `most`. Call it in a transaction. Raises TooManySealed."""
    parts = SealedPart.objects.readable()
    if wanted == SealedFilter(EventSelection()) and not parts.filter(state=PartState.PUBLISHED).exists():
        return min(parts.aggregate(events=Sum(F("rows") - F("returned")))["events"] or 0, most)
    return len(list_sealed(wanted, newest=True, size=most))


def _ranges(selection: EventSelection, *, newest: bool) -> Iterator[int]:
    """Yield the ranges of arrival that may have selected events, by their first position."""
    if not is_on():
        return
    parts = SealedPart.objects.readable()
    if selection.event_ids is not None:
        parts = parts.filter(pk__in=[part for _, part in parts_of(selection.event_ids)])
    if selection.start is not None:
        parts = parts.filter(occurred_until__gte=selection.start)
    if selection.end is not None:
        parts = parts.filter(occurred_from__lt=selection.end)
    if selection.after is not None:
        parts = parts.filter(last_event__gt=selection.after + 1)
    if selection.before is not None:
        parts = parts.filter(first_event__lt=selection.before)
    order = "-first_event" if newest else "first_event"
    yield from parts.order_by(order).values_list("first_event", flat=True).distinct()


def _search_range(
    first_event: int, wanted: SealedFilter, *, newest: bool, size: int
) -> Iterator[tuple[list[Any], int]]:
    """Yield the matching events of a range of arrival, and how many events were read for them."""
    chunk = CHUNK if wanted.conditions else size
    selection = wanted.selection
    with connection.cursor() as cursor:
        transfer.prepare(cursor)
        transfer.prepare_gathering(cursor)
        names = _hold_range(cursor, first_event)
        while True:
            cursor.execute("DELETE FROM gathered; DELETE FROM sealed")
            blocks = get_store().read(names, selection, most=chunk, newest=newest)
            transfer.load_rows(cursor, blocks, table="gathered")
            cursor.execute("SELECT count(*), min(id), max(id) FROM gathered")
            read, first, last = cursor.fetchone()
            cursor.execute(compose(sections("history")["add"], columns=COLUMNS))
            cursor.execute(sections("history")["drop_hot"])
            yield _matching(wanted, newest=newest), read
            if read < chunk:
                return
            selection = replace(selection, before=first) if newest else replace(selection, after=last)


def _hold_range(cursor: Any, first_event: int) -> list[str]:
    """Keep the parts of a range of arrival as they are until the transaction ends; return their names."""
    held: set[int] = set()
    while True:
        names = dict(SealedPart.objects.readable().filter(first_event=first_event).values_list("pk", "name"))
        if held.issuperset(names):
            return list(names.values())
        share_parts(cursor, set(names) - held)
        held |= set(names)


def _matching(wanted: SealedFilter, *, newest: bool) -> list[Any]:
    condition = " AND ".join(["true", *wanted.conditions])
    order = "DESC" if newest else "ASC"
    return list(Event.objects.raw(f"{FROM_SEALED} WHERE {condition} ORDER BY id {order}", list(wanted.parameters)))
