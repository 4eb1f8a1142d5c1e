"""Take events in: the rows are durable in the inbox before anyone is told so, and nothing is looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from events.ingest import inbox
from events.ingest.inbox import ContentRefused, InboxUnavailable
from events.ingest.payload import IncomingEvent

__all__ = ["Accepted", "ContentRefused", "InboxUnavailable", "accept"]

LARGEST_SHARED = 20  # events; a larger batch has a commit to itself, so that small ones needn't wait for it
NULL = r"\N"
# What stands for these signs inside a quoted element of an array, as COPY's text format wants it: what both the array
# and COPY read as their own needs escaping twice. The backslash is first, for the others bring some.
ESCAPES = (("\\", r"\\\\"), ('"', '\\\\"'), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was stored: the ids in the order of the batch, given or made."""

    event_ids: list[str]


def accept(events: Sequence[IncomingEvent], *, api_key_id: int | None, received_at: datetime) -> Accepted:
    """Put all of them in the inbox, or none. On return they are committed, and survive any crash.

    In a caller's transaction they are committed with it. Ids that are there already are no error: processing counts
    each once. Raises InboxUnavailable or ContentRefused.
    """
    row = _row(events, received_at, api_key_id)
    if len(events) > LARGEST_SHARED or connection.in_atomic_block:
        inbox.store(row)
    else:
        inbox.store_shared(row)
    return Accepted([event.event_id for event in events])


def _row(events: Sequence[IncomingEvent], received_at: datetime, api_key_id: int | None) -> bytes:
    """Write the request's row in COPY's text format."""
    columns = (
        received_at.isoformat(),
        NULL if api_key_id is None else str(api_key_id),
        _array([event.event_id for event in events]),
        _array([event.event_name for event in events]),
        _array([event.external_customer_id for event in events]),
        _moments(events),
        _array([event.source for event in events]),
        _array([event.properties for event in events]),
    )
    return ("\t".join(columns) + "\n").encode()


def _array(texts: Sequence[str]) -> str:
    """Write texts as an array. None holds a NUL, so that stands between them until all is escaped in a few passes."""
    block = "\0".join(texts)
    for sign, escaped in ESCAPES:
        if sign in block:
            block = block.replace(sign, escaped)
    return '{"' + block.replace("\0", '","') + '"}'


def _moments(events: Sequence[IncomingEvent]) -> str:
    """Write when the events occurred as an array; NULL where the sender didn't say."""
    moments = [f'"{event.occurred_at.isoformat()}"' if event.has_timestamp else "NULL" for event in events]
    return "{" + ",".join(moments) + "}"
