"""Long ranges of time, cut so that the sealed events of each piece fit into a scratch table."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from events.history.reading import MOST_READ, TooManySealed
from events.history.stores import is_on
from events.models import SealedPart

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
type Times = tuple[datetime, datetime]


def read_in_pieces[T](start: datetime, end: datetime, read: Callable[[datetime, datetime], T]) -> Iterator[T]:
    """Read [start, end) piece by piece, cut at UTC days: each a transaction. Without sealed events, it is one piece.

    A day with too many sealed events is read hour by hour. `read` raises TooManySealed before it has done anything.
    """
    for piece in cut_into_pieces(start, end):
        try:
            yield read(*piece)
        except TooManySealed:
            if piece[1] - piece[0] <= HOUR:
                raise
            for hour in _hours(*piece):
                yield read(*hour)


def cut_into_pieces(start: datetime, end: datetime) -> Iterator[Times]:
    """Cut at days, so that a piece is one day, or meets parts with at most MOST_READ events."""
    parts: list[tuple[datetime, datetime, int]] = []
    if is_on():
        rows: Any = SealedPart.objects.readable().filter(occurred_from__lt=end, occurred_until__gte=start)
        parts = list(rows.values_list("occurred_from", "occurred_until", "rows"))
    piece = start
    for day in _days_of(parts, start, end):
        before = sum(rows for first, last, rows in parts if first < day and last >= piece)
        after = sum(rows for first, last, rows in parts if first < day + DAY and last >= piece)
        if piece < day and before != after > MOST_READ:
            yield piece, day
            piece = day
    yield piece, end


def _days_of(parts: list[tuple[datetime, datetime, int]], start: datetime, end: datetime) -> Iterator[datetime]:
    if not parts:
        return
    first, last = min(first for first, _, _ in parts), max(last for _, last, _ in parts)
    day = max(first, start).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < min(last, end):
        yield day
        day += DAY


def _hours(start: datetime, end: datetime) -> Iterator[Times]:
    while start < end:
        following = min((start + HOUR).replace(minute=0, second=0, microsecond=0), end)
        yield start, following
        start = following
