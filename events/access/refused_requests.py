"""The log of requests refused with 400, 401, 403, 413 or 429, for staff to investigate.

A process adds up equal refusals and writes them once a second from a background thread, so that a flood of them costs
few rows and doesn't slow requests. If a process is killed, its unwritten counts are lost.
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
    (minute, key_prefix, status, reason, path, field, message, count, last_at)
SELECT * FROM unnest(
    %s::timestamptz[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],
    %s::timestamptz[]
)
ON CONFLICT (minute, key_prefix, status, path, field, message)
DO UPDATE SET count = logged.count + excluded.count, last_at = GREATEST(logged.last_at, excluded.last_at)
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


_pending: dict[_Row, tuple[int, datetime]] = {}
_lock = threading.Lock()


def record_refusal(*, status: int, path: str, key_prefix: str, field: str, message: str, now: datetime) -> None:
    """Count a refusal. Ignores indexes in field and message, because event 3 and event 17 have the same mistake.

    It is written within a second, or immediately if the caller is in a transaction. Other statuses are not logged.
    """
    reason = REASONS.get(status)
    if reason is None:
        return
    row = _Row(
        now.replace(second=0, microsecond=0),
        _storable(key_prefix, 16),
        status,
        reason,
        _storable(path, 128),
        _storable(_index("[]", field), 255),
        _storable(_index("[]", message), 512),
    )
    with _lock:
        if len(_pending) >= MAX_DIFFERENT and row not in _pending:
            row = row._replace(key_prefix="", field="", message="Many different refusals at once.")
        count, _ = _pending.get(row, (0, now))
        _pending[row] = (count + 1, now)
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
    rows = [(*row, count, last_at) for row, (count, last_at) in sorted(counted.items())]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)])
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Refused requests couldn't be logged: %s", error)
        _restore(counted)


def forget() -> None:
    """Discard the unwritten counts."""
    with _lock:
        _pending.clear()


def _restore(counted: dict[_Row, tuple[int, datetime]]) -> None:
    with _lock:
        for row, (count, last_at) in counted.items():
            if row in _pending or len(_pending) < MAX_DIFFERENT:
                newer_count, newest = _pending.get(row, (0, last_at))
                _pending[row] = (count + newer_count, newest)


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
