"""Changes of sealed events: what a replay or a void changes returns to the ledger first, in the same transaction."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection

from events.history.pieces import read_in_pieces
from events.history.reading import hold_parts_of, ledger, load
from events.history.selection import EventSelection
from events.history.stores import is_on
from events.models import Event
from events.sql import COLUMNS, compose, sections

CHANGE_LOCK = 7_301_142
HOUR = timedelta(hours=1)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def load_for_change(ids: Collection[int]) -> bool:
    """Load those of the events that are sealed, by their positions, to be changed; return whether there are any.

    Call it before locking events. Others who change sealed events wait until the transaction ends.
    """
    if not is_on() or not ids or not hold_parts_of([EventSelection(ids=ids)]):
        return False
    _wait_for_others()
    present = set(Event.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return load([EventSelection(ids=missing)]) if (missing := set(ids) - present) else False


def load_hours_for_change(hours: Iterable[tuple[int, datetime]]) -> bool:
    """Load the sealed events of customers' hours to be changed; return whether there are any."""
    selections = _select_hours(hours) if is_on() else []
    if not hold_parts_of(selections):
        return False
    _wait_for_others()
    return load(selections)


def load_hours(hours: Iterable[tuple[int, datetime]]) -> bool:
    """Load the sealed events of customers' hours to be read; return whether there are any."""
    return load(_select_hours(hours)) if is_on() else False


def events_sent_for(external_id: str, customers: Collection[int]) -> Iterator[int]:
    """Yield the positions of the events that were sent for an external id and belong to one of these customers."""
    events = Event.objects.filter(customer__in=customers, external_customer_id=external_id)
    yield from events.values_list("pk", flat=True).iterator(chunk_size=5_000)
    if is_on():
        for places in read_in_pieces(FIRST, LAST, partial(_sealed_of, external_id, customers)):
            yield from places


def _sealed_of(external_id: str, customers: Collection[int], start: datetime, end: datetime) -> list[int]:
    with ledger([EventSelection(customers=customers, start=start, end=end)]) as with_sealed:
        if not with_sealed:
            return []
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM sealed WHERE external_customer_id = %s ORDER BY id", [external_id])
            return [row[0] for row in cursor.fetchall()]


def _wait_for_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHANGE_LOCK])


def _select_hours(hours: Iterable[tuple[int, datetime]]) -> list[EventSelection]:
    """Select the sealed events of customers' hours: of each day, those between its first and its last hour."""
    days: dict[datetime, list[tuple[int, datetime]]] = {}
    for customer_id, hour in hours:
        days.setdefault(hour.replace(hour=0), []).append((customer_id, hour))
    return [
        EventSelection(
            customers={customer_id for customer_id, _ in rows},
            start=min(hour for _, hour in rows),
            end=max(hour for _, hour in rows) + HOUR,
        )
        for rows in days.values()
    ]


def return_to_ledger(cursor: Any, ids: Collection[int]) -> int:
    """Write loaded sealed events to the ledger again, as touched; return how many. Their parts stay as they are.

    The caller holds the lock for changes, see `load_for_change`.
    """
    if not ids:
        return 0
    cursor.execute(compose(sections("history")["return"], columns=COLUMNS), {"ids": list(ids)})
    returned: int = cursor.rowcount
    cursor.execute(sections("history")["count_returned"], {"ids": list(ids)})
    cursor.execute("DELETE FROM sealed WHERE id = ANY(%s)", [list(ids)])
    return returned
