"""Take events in: the rows are durable in the inbox before anyone is told so, and nothing is looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.db import DataError, InterfaceError, InternalError, OperationalError, connection

from events.payload import IncomingEvent

COPY = (
    "COPY events_inboxevent (event_id, event_name, external_customer_id, occurred_at, has_timestamp, source,"
    " properties, received_at, api_key_id) FROM STDIN"
)
# What COPY's text format reads as its own signs. The backslash is first, for the others bring some.
ESCAPES = (("\\", r"\\"), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"))
NULL = r"\N"


class InboxUnavailable(Exception):
    """The database can't take events just now. Nothing was stored, or it can't be known: send them again."""


class ContentRefused(Exception):
    """The database found a value that it can't keep. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was stored: the ids in the order of the batch, given or made."""

    event_ids: list[str]


def accept(events: Sequence[IncomingEvent], *, api_key_id: int | None, received_at: datetime) -> Accepted:
    """Put all of them in the inbox, or none. On return they are committed, and survive any crash.

    Ids that are there already are no error: processing counts each once. So a connection that broke is replaced
    and the rows are sent once more. Raises InboxUnavailable or ContentRefused.
    """
    rows = _rows(events, received_at, api_key_id)
    try:
        try:
            _store(rows)
        except (OperationalError, InterfaceError):
            _reconnect()
            _store(rows)
    except (OperationalError, InterfaceError, InternalError) as error:
        raise InboxUnavailable from error
    return Accepted([event.event_id for event in events])


def _store(rows: bytes) -> None:
    """Copy the rows in one statement, which commits by itself unless the caller has a transaction open."""
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors, connection.connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.write(rows)
    except DataError as error:
        raise ContentRefused(_what_postgres_said(error)) from error


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


def _reconnect() -> None:
    """Drop the connection; the next use opens another. Inside a caller's transaction there is no going on."""
    if connection.in_atomic_block:
        raise InboxUnavailable
    connection.close()


def _what_postgres_said(error: DataError) -> str:
    cause = error.__cause__
    return (cause.diag.message_primary if isinstance(cause, psycopg.Error) else None) or "a value can't be kept"
