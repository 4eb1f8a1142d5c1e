"""What a set of events consists of, so that what a store returns can be compared with what it was given."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.history import transfer
from events.sql import compose, sections


@dataclass(frozen=True, slots=True)
class Content:
    """The number of events, a checksum of everything about them, and when the first and the last one occurred."""

    rows: int
    checksum: int
    first_at: datetime | None
    last_at: datetime | None


def add_up_gathered(cursor: Any) -> Content:
    """Add up the gathered events."""
    parts = sections("history")
    cursor.execute(compose(parts["sums"], content=parts["content"]))
    return Content(*cursor.fetchone())


def gather_part(cursor: Any, blocks: Iterable[bytes]) -> Content:
    """Read a part into the gathered events, and add them up."""
    transfer.prepare_gathering(cursor)
    transfer.load_rows(cursor, blocks, table="gathered")
    return add_up_gathered(cursor)
