"""Read sealed events in place: what reads the ledger gets the sealed events that it may need beside the table."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from config.refusals import Refused
from events.history import transfer
from events.history.locks import PART_LOCK
from events.history.selection import EventSelection
from events.history.stores import get_store, is_on
from events.models import SealedPart
from events.sql import COLUMNS, compose, sections

MOST_READ = 2_000_000
INDEXED_FROM = 5_000  # events


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
        with transaction.atomic():
            yield load(list(selections), is_only_reading=True)


@cache
def refuse_unreadable() -> None:
    """Raise ImproperlyConfigured if events were sealed and EVENT_HISTORY isn't set. One query in each process."""
    if SealedPart.objects.readable().exists():
        raise ImproperlyConfigured("Events were sealed. Without EVENT_HISTORY they can't be read.")


def load(selections: Sequence[EventSelection], *, is_only_reading: bool = False) -> bool:
    """Add the selected sealed events to those of this transaction; return whether there are any.

    With `is_only_reading`, the transaction writes nothing but scratch tables, and its commit doesn't wait for the disk.
    """
    parts = hold_parts_of(selections)
    if not parts:
        return False
    with connection.cursor() as cursor:
        has_events, count = transfer.prepare(cursor), 0
        for place, of_place in groupby(parts, key=lambda part: part.place):
            names = [part.name for part in of_place]
            count += _add(cursor, names, selections[place], has_events=has_events or count > 0)
        if count > INDEXED_FROM:
            cursor.execute(sections("history")["index"])
        commit = "SET LOCAL synchronous_commit = off; " if is_only_reading else ""
        cursor.execute(commit + sections("history")["analyze"])
        if any(part.may_be_in_ledger for part in parts):
            cursor.execute(sections("history")["drop_hot"])
    return True


class MeetingPart(NamedTuple):
    """A part of a selection, by the selection's place, and whether some of its events may be in the ledger."""

    place: int
    pk: int
    name: str
    may_be_in_ledger: bool


def hold_parts_of(selections: Sequence[EventSelection]) -> list[MeetingPart]:
    """Find the parts of the selections, and keep them as they are until the transaction ends.

    They are looked for again once they are held, because they may have changed before. A part that is published later
    isn't needed: its events stay in the ledger as long as this transaction runs.
    """
    held: set[int] = set()
    with connection.cursor() as cursor:
        while True:
            parts = _hold_parts(cursor, selections)
            found = {part.pk for part in parts}
            if found <= held:
                return parts
            held |= found


def _hold_parts(cursor: Any, selections: Sequence[EventSelection]) -> list[MeetingPart]:
    if not selections:
        return []
    parameters = {
        "lock": PART_LOCK,
        "places": list(range(len(selections))),
        "parts": [selection.part for selection in selections],
        "starts": [selection.start for selection in selections],
        "ends": [selection.end for selection in selections],
        "first_ids": [min(selection.ids, default=0) if selection.ids is not None else None for selection in selections],
        "last_ids": [max(selection.ids, default=0) if selection.ids is not None else None for selection in selections],
    }
    cursor.execute(sections("history")["meeting"], parameters)
    return [MeetingPart(*row[:4]) for row in cursor.fetchall()]


def _add(cursor: Any, names: Sequence[str], selection: EventSelection, *, has_events: bool) -> int:
    """Load the selected events of parts, except those that an earlier selection has loaded; return how many."""
    blocks = get_store().read(names, selection, most=MOST_READ + 1)
    if has_events:
        transfer.prepare_gathering(cursor)
        count = transfer.load_rows(cursor, blocks, table="gathered")
        cursor.execute(compose(sections("history")["add"], columns=COLUMNS))
    else:
        count = transfer.load_rows(cursor, blocks)
    if count > MOST_READ:
        raise TooManySealed(f"This would read more than {MOST_READ:,} sealed events. Choose a shorter time range.")
    return count
