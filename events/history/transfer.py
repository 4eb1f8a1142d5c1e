"""Rows of the ledger as CSV: out of PostgreSQL to be sealed, and back into scratch tables of a transaction."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from events.sql import sections

# As they are in a part. The state and the mark of a sealed event are always the same.
COLUMNS = (
    *("id", "customer_id", "api_key_id", "occurred_at", "received_at", "processed_at", "has_timestamp"),
    *("event_id", "event_name", "external_customer_id", "source", "properties"),
)
TEXTS = ("event_id", "event_name", "external_customer_id", "source", "properties")


def prepare(cursor: Any) -> bool:
    """Create this connection's scratch table for sealed events if needed; return whether it has any.

    A commit empties it.
    """
    cursor.execute(sections("history")["scratch"])
    while cursor.nextset():
        pass  # the last statement's result is the answer
    has_events: bool = cursor.fetchone()[0]
    return has_events


def prepare_gathering(cursor: Any) -> None:
    """Create this connection's scratch table for events of a part if needed, and empty it. So does a commit."""
    cursor.execute(sections("history")["scratch_gathered"])


def write_rows(cursor: Any, file: Path) -> None:
    """Write the gathered events to a file."""
    quoted = ", ".join(TEXTS)
    statement = f"COPY ({sections('history')['rows']}) TO STDOUT (FORMAT csv, FORCE_QUOTE ({quoted}))"
    with file.open("wb") as target, cursor.copy(statement) as copy:
        for block in copy:
            target.write(block)


def load_rows(cursor: Any, blocks: Iterable[bytes], *, table: str = "sealed") -> int:
    """Load rows of parts into a scratch table; return how many."""
    columns = ", ".join((*COLUMNS, "state", "is_touched"))
    with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)") as copy:
        for block in blocks:
            copy.write(block)
    loaded: int = cursor.rowcount
    return loaded
