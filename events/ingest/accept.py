"""Accept events: they are durable in the inbox before the sender gets an answer, and nothing is looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from events.ingest import inbox
from events.ingest.inbox import ContentRefused, InboxUnavailable
from events.ingest.payload import IncomingEvent

__all__ = ["Accepted", "ContentRefused", "InboxUnavailable", "accept"]

MAX_SHARED = 20  # events; a larger batch has its own commit, so that small batches don't wait for it
NULL = r"\N"
# How these characters are escaped in a quoted array element of COPY's text format: characters that are special to both
# the array and COPY are escaped twice. The backslash comes first, because the other escapes contain backslashes.
ESCAPES = (("\\", r"\\\\"), ('"', '\\\\"'), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"))


@dataclass(frozen=True, slots=True)
class Accepted:
    """The stored events' ids, sent or generated, in the order of the batch."""

    event_ids: list[str]


def accept(events: Sequence[IncomingEvent], *, api_key_id: int | None, received_at: datetime) -> Accepted:
    """Put all events in the inbox, or none. On return they are committed and survive a crash.

    If the caller is in a transaction, they are committed with it. Ids that exist already are no error: processing
    counts each id once. Raises InboxUnavailable or ContentRefused.
    """
    row = _row(events, received_at, api_key_id)
    if len(events) > MAX_SHARED or connection.in_atomic_block:
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
    """Write texts as an array. They contain no NUL, so it can separate them until all are escaped in a few passes."""
    joined = "\0".join(texts)
    for char, escaped in ESCAPES:
        if char in joined:
            joined = joined.replace(char, escaped)
    return '{"' + joined.replace("\0", '","') + '"}'


def _moments(events: Sequence[IncomingEvent]) -> str:
    """Write the events' timestamps as an array; NULL if the sender gave none."""
    moments = [f'"{event.occurred_at.isoformat()}"' if event.has_timestamp else "NULL" for event in events]
    return "{" + ",".join(moments) + "}"
