"""Take events in: the rows are durable in the inbox before anyone is told so, and nothing is looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from events import inbox
from events.inbox import ContentRefused, InboxUnavailable
from events.payload import IncomingEvent

__all__ = ["Accepted", "ContentRefused", "InboxUnavailable", "accept"]

LARGEST_SHARED = 20  # events; a larger batch has a commit to itself, so that small ones needn't wait for its rows
# What COPY's text format reads as its own signs. The backslash is first, for the others bring some.
ESCAPES = (("\\", r"\\"), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"))
NULL = r"\N"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was stored: the ids in the order of the batch, given or made."""

    event_ids: list[str]


def accept(events: Sequence[IncomingEvent], *, api_key_id: int | None, received_at: datetime) -> Accepted:
    """Put all of them in the inbox, or none. On return they are committed, and survive any crash.

    In a caller's transaction they are committed with it. Ids that are there already are no error: processing counts
    each once. Raises InboxUnavailable or ContentRefused.
    """
    rows = _rows(events, received_at, api_key_id)
    if len(events) > LARGEST_SHARED or connection.in_atomic_block:
        inbox.store(rows)
    else:
        inbox.store_shared(rows)
    return Accepted([event.event_id for event in events])


def _rows(events: Sequence[IncomingEvent], received_at: datetime, api_key_id: int | None) -> bytes:
    """Write the rows in COPY's text format.

    No text holds a NUL, so one stands for the next column and three for the row's end until all is escaped: that
    costs a few passes over the whole instead of a look at every text.
    """
    received = received_at.isoformat()
    block = "".join(
        [
            f"{event.event_id}\0{event.event_name}\0{event.external_customer_id}\0"
            f"{event.occurred_at.isoformat() if event.has_timestamp else received}\0{event.has_timestamp}\0"
            f"{event.source}\0{event.properties}\0\0\0"
            for event in events
        ]
    )
    for sign, escaped in ESCAPES:
        if sign in block:
            block = block.replace(sign, escaped)
    tail = f"\t{received}\t{NULL if api_key_id is None else api_key_id}\n"
    return block.replace("\0\0\0", tail).replace("\0", "\t").encode()
