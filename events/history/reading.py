"""Read sealed events in place: what reads the ledger gets the sealed events that it may need beside the table."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from config.refusals import Refused
from events.history import transfer
from events.history.locks import share_parts
from events.history.selection import EventSelection
from events.history.stores import get_store, is_on
from events.models import SealedPart
from events.sql import COLUMNS, compose, sections

MOST_READ = 2_000_000


class TooManySealed(Refused):
    """A request would read more sealed events than fit into a scratch table."""


@contextmanager
def ledger(selections: Iterable[EventSelection]) -> Iterator[bool]:
    """Load the selected sealed events into this transaction; return whether there are any, for `events.sql.ledger_of`.

    There may be more sealed events than were selected, so the reader has the same conditions. Without EVENT_HISTORY
    nothing is asked, not even for the selections. Otherwise there is a transaction around the block: sealed events stay
    where they are until it ends. Raises TooManySealed.
    """
    if not is_on():
        refuse_unreadable()
        yield False
    elif connection.in_atomic_block:
        yield load(list(selections))
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")  # nothing but scratch tables is written
            yield load(list(selections))


@cache
def refuse_unreadable() -> None:
    """Raise ImproperlyConfigured if events were sealed and EVENT_HISTORY isn't set. One query in each process."""
    if SealedPart.objects.readable().exists():
        raise ImproperlyConfigured("Events were sealed. Without EVENT_HISTORY they can't be read.")


def load(selections: Sequence[EventSelection]) -> bool:
    """Add the selected sealed events to those of this transaction; return whether there are any."""
    names_by_place = hold_parts_of(selections)
    if not names_by_place:
        return False
    with connection.cursor() as cursor:
        transfer.prepare(cursor)
        for place, names in names_by_place.items():
            _add(cursor, names, selections[place])
        cursor.execute("ANALYZE sealed (customer_id, event_name, occurred_at)")
        cursor.execute(sections("history")["drop_hot"])
    return True


def hold_parts_of(selections: Sequence[EventSelection]) -> dict[int, list[str]]:
    """Find the parts of each selection, by its place, and keep them as they are until the transaction ends.

    A part that is published later isn't needed: its events stay in the ledger as long as this transaction runs.
    """
    held: set[int] = set()
    with connection.cursor() as cursor:
        found = _find_parts(cursor, selections)
        while missing := {part for _, part, _ in found} - held:
            share_parts(cursor, missing)
            held |= missing
            found = _find_parts(cursor, selections)
    names: dict[int, list[str]] = {}
    for place, _, name in found:
        names.setdefault(place, []).append(name)
    return names


def _find_parts(cursor: Any, selections: Sequence[EventSelection]) -> list[tuple[int, int, str]]:
    if not selections:
        return []
    parameters = {
        "places": list(range(len(selections))),
        "parts": [selection.part for selection in selections],
        "starts": [selection.start for selection in selections],
        "ends": [selection.end for selection in selections],
        "first_ids": [min(selection.ids, default=0) if selection.ids is not None else None for selection in selections],
        "last_ids": [max(selection.ids, default=0) if selection.ids is not None else None for selection in selections],
    }
    cursor.execute(sections("history")["meeting"], parameters)
    return list(cursor.fetchall())


def _add(cursor: Any, names: Sequence[str], selection: EventSelection) -> None:
    """Load the selected events of parts, except those that an earlier selection has loaded."""
    blocks = get_store().read(names, selection, most=MOST_READ + 1)
    cursor.execute("SELECT EXISTS (SELECT FROM sealed)")
    if not cursor.fetchone()[0]:
        count = transfer.load_rows(cursor, blocks)
    else:
        cursor.execute("DELETE FROM gathered")
        count = transfer.load_rows(cursor, blocks, table="gathered")
        cursor.execute(compose(sections("history")["add"], columns=COLUMNS))
    if count > MOST_READ:
        raise TooManySealed(f"This would read more than {MOST_READ:,} sealed events. Choose a shorter time range.")
