"""Write rows to the inbox: in a separate statement, or together with other requests' rows over a shared connection.

For a small request, connecting and committing take longer than storing, so small requests share both. The shared
connection uses libpq's blocking calls, which let other threads run and cost a third of a cursor's calls.
"""

import logging

import psycopg
from django.db import DataError, InterfaceError, InternalError, OperationalError, connection
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from config.timeouts import INGEST, SET, is_timeout
from events.ingest.group_commit import GroupCommit

logger = logging.getLogger(__name__)

COPY = (
    "COPY events_inboxrequest (received_at, api_key_id, event_ids, event_names, external_customer_ids, occurred_at,"
    " sources, properties) FROM STDIN"
)
CONTENT_REFUSED = "22"  # the SQLSTATE class of invalid data
CONNECTION_ENDED = ("08", "57P0")


class InboxUnavailable(Exception):
    """The database is unavailable. The events were not stored, or it isn't known whether they were: send them again."""


class ContentRefused(Exception):
    """The database can't store a value. Nothing was stored."""


class _ConnectionLost(Exception):
    """The connection was lost; whether the rows were committed isn't known."""


def store(rows: bytes) -> None:
    """Commit the rows, in the caller's transaction if there is one. Raises InboxUnavailable or ContentRefused."""
    try:
        try:
            _copy(rows)
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or is_timeout(error):
                raise
            connection.close()
            _copy(rows)
    except (OperationalError, InterfaceError, InternalError) as error:
        raise InboxUnavailable from error


def store_shared(rows: bytes) -> None:
    """Commit the rows together with those of concurrent requests. Raises InboxUnavailable or ContentRefused."""
    _group.write(rows)


def close() -> None:
    """Close the shared connection of this process. The next shared rows open another."""
    _shared.close()


def _copy(rows: bytes) -> None:
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors, connection.connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.write(rows)
    except DataError as error:
        raise ContentRefused(str(error)) from error


class _SharedConnection:
    """A connection that stays open, is used by one thread at a time, and is replaced when it breaks."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None

    def store(self, rows: bytes) -> None:
        """Commit the rows. If the connection breaks, send them again: each event_id counts once anyway."""
        try:
            try:
                self._copy(self._connection or self._connect(), rows)
            except _ConnectionLost:
                self._copy(self._connect(), rows)
        except (psycopg.OperationalError, _ConnectionLost) as error:
            self.close()
            raise InboxUnavailable from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection:
        self.close()
        self._connection = psycopg.connect(**connection.get_connection_params(), autocommit=True)
        self._connection.execute(SET, INGEST.as_parameters())  # a pooler takes no `options`
        self._connection.pgconn.nonblocking = 0
        return self._connection

    def _copy(self, through: psycopg.Connection, rows: bytes) -> None:
        pgconn = through.pgconn
        try:
            self._expect(ExecStatus.COPY_IN, pgconn.exec_(COPY.encode()))
            pgconn.put_copy_data(rows)
            pgconn.put_copy_end()
            outcome = pgconn.get_result()
            while pgconn.get_result() is not None:
                pass  # libpq must be asked until it has no more results
        except psycopg.OperationalError as error:
            raise _ConnectionLost from error
        self._expect(ExecStatus.COMMAND_OK, outcome)

    def _expect(self, status: ExecStatus, result: PGresult | None) -> None:
        if result is not None and result.status == status:
            return
        sqlstate = _field(result, DiagnosticField.SQLSTATE)
        message = _field(result, DiagnosticField.MESSAGE_PRIMARY)
        if sqlstate.startswith(CONTENT_REFUSED):
            raise ContentRefused(message)
        if not sqlstate or sqlstate.startswith(CONNECTION_ENDED):
            raise _ConnectionLost(message)
        logger.error("The inbox can't be written: %s (%s)", message, sqlstate)
        raise InboxUnavailable(message)


def _field(result: PGresult | None, field: DiagnosticField) -> str:
    value = result.error_field(field) if result is not None else None
    return value.decode("utf-8", "replace") if value else ""


_shared = _SharedConnection()
_group = GroupCommit(_shared.store, refused=ContentRefused, failed=InboxUnavailable)
