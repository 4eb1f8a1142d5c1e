"""The log of requests refused with 400, 401, 403, 413 or 429, for staff to investigate.

A process adds up equal refusals and writes them once a second from a background thread, so that a flood of them costs
few rows and doesn't slow requests. If a process is killed, its unwritten counts are lost. Strangers can't fill the
table: what they send isn't stored, except the endpoint and their addresses.
"""

import atexit
import logging
import re
import threading
import time
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, connection, transaction

from config.jobs import Background
from events.reasons import Reason

logger = logging.getLogger(__name__)

REASONS = {
    400: Reason.BAD_REQUEST,
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    413: Reason.TOO_LARGE,
    429: Reason.RATE_LIMITED,
}
FLUSH_EVERY_S = 1.0
MAX_DIFFERENT = 500  # between two writes; further refusals share a row per status and path
UPSERT = """
INSERT INTO events_refusedrequest AS logged
    (minute, key_prefix, status, reason, path, field, message, count, last_at, first_address, last_address)
SELECT * FROM unnest(
    %s::timestamptz[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],
    %s::timestamptz[], %s::inet[], %s::inet[]
)
ON CONFLICT (minute, key_prefix, status, path, field, message)
DO UPDATE SET count = logged.count + excluded.count, last_at = GREATEST(logged.last_at, excluded.last_at),
    first_address = COALESCE(logged.first_address, excluded.first_address),
    last_address = COALESCE(excluded.last_address, logged.last_address)
"""

_index = re.compile(r"\[\d+\]").sub


class _Row(NamedTuple):
    """The columns that refusals of the same row share."""

    minute: datetime
    key_prefix: str
    status: int
    reason: str
    path: str
    field: str
    message: str


class _Times(NamedTuple):
    """How often and when a row's refusals happened, and where the first and the last came from."""

    number: int
    last_at: datetime
    first_address: str | None
    last_address: str | None

    def and_then(self, later: "_Times") -> "_Times":
        first, last = self.first_address or later.first_address, later.last_address or self.last_address
        return _Times(self.number + later.number, max(self.last_at, later.last_at), first, last)


_pending: dict[_Row, _Times] = {}
_lock = threading.Lock()


def record_refusal(
    *,
    status: int,
    path: str,
    key_prefix: str | None,
    field: str,
    message: str,
    now: datetime,
    address: str | None = None,
) -> None:
    """Count a refusal. Ignores indexes in field and message, because event 3 and event 17 have the same mistake.

    Without a key prefix, the sender is a stranger, whose refusals are added up by the hour: pass the endpoint as the
    path, and nothing that was sent. It is written within a second, or immediately if the caller is in a transaction.
    Other statuses are not logged.
    """
    reason = REASONS.get(status)
    if reason is None:
        return
    minute = now.replace(second=0, microsecond=0)
    row = _Row(
        minute.replace(minute=0) if key_prefix is None else minute,
        _storable(key_prefix or "", 16),
        status,
        reason,
        _storable(path, 128),
        _storable(_index("[]", field), 255),
        _storable(_index("[]", message), 512),
    )
    with _lock:
        if len(_pending) >= MAX_DIFFERENT and row not in _pending:
            row = row._replace(key_prefix="", field="", message="Many different refusals at once.")
        _add(row, _Times(1, now, address, address))
    if connection.in_atomic_block:
        flush()
    else:
        _background.ensure_running()


def flush() -> None:
    """Write the counts. If the database is unavailable, keep them for the next attempt."""
    with _lock:
        counted = dict(_pending)
        _pending.clear()
    if not counted:
        return
    rows = [(*row, *times) for row, times in sorted(counted.items(), key=lambda item: item[0])]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)])
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Refused requests couldn't be logged: %s", error)
        _restore(counted)


def _add(row: _Row, times: _Times) -> None:
    earlier = _pending.get(row)
    _pending[row] = earlier.and_then(times) if earlier else times


def _restore(counted: dict[_Row, _Times]) -> None:
    with _lock:
        for row, times in counted.items():
            if row in _pending or len(_pending) < MAX_DIFFERENT:
                newer = _pending.get(row)
                _pending[row] = times.and_then(newer) if newer else times


def _storable(text: str, length: int) -> str:
    """Cut the text to the column's length and drop characters that PostgreSQL can't store."""
    return text[:length].replace("\x00", "").encode("utf-8", "replace").decode()


def _run() -> None:
    """Write once a second until nothing is pending. The next refusal starts another thread."""
    while _pending:
        time.sleep(FLUSH_EVERY_S)
        flush()
        connection.close()


def _flush_at_exit() -> None:
    if _pending:
        flush()
        connection.close()


_background = Background("refusals", _run)
atexit.register(_flush_at_exit)
