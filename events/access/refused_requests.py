"""The log of refused requests: what was answered with 400, 401, 403, 413 or 429, for staff to look into.

A process adds equal refusals up and writes them once a second from a thread of its own, so that a storm of them
costs a handful of rows a minute and slows nobody. What a killed process hadn't written yet is lost.
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
MOST_DIFFERENT = 500  # between two writes; what is more shares a row per status and path
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


class _Equal(NamedTuple):
    """What makes two refusals of a minute the same row."""

    minute: datetime
    key_prefix: str
    status: int
    reason: str
    path: str
    field: str
    message: str


_pending: dict[_Equal, tuple[int, datetime]] = {}
_lock = threading.Lock()


def record_refusal(*, status: int, path: str, key_prefix: str, field: str, message: str, now: datetime) -> None:
    """Count a refusal. Indexes are left out of field and message: event 3 and event 17 are the same mistake.

    It is written within a second, or at once inside a caller's transaction. Other statuses are not logged.
    """
    reason = REASONS.get(status)
    if reason is None:
        return
    equal = _Equal(
        now.replace(second=0, microsecond=0),
        _storable(key_prefix, 16),
        status,
        reason,
        _storable(path, 128),
        _storable(_index("[]", field), 255),
        _storable(_index("[]", message), 512),
    )
    with _lock:
        if len(_pending) >= MOST_DIFFERENT and equal not in _pending:
            equal = equal._replace(key_prefix="", field="", message="Many different refusals at once.")
        count, _ = _pending.get(equal, (0, now))
        _pending[equal] = (count + 1, now)
    if connection.in_atomic_block:
        flush()
    else:
        _background.ensure_running()


def flush() -> None:
    """Write what was counted. Without a database it is kept and tried again with the next."""
    with _lock:
        counted = dict(_pending)
        _pending.clear()
    if not counted:
        return
    rows = [(*equal, count, last_at) for equal, (count, last_at) in sorted(counted.items())]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)])
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Refused requests couldn't be logged: %s", error)
        _put_back(counted)


def forget() -> None:
    """Drop what was counted and not yet written."""
    with _lock:
        _pending.clear()


def _put_back(counted: dict[_Equal, tuple[int, datetime]]) -> None:
    with _lock:
        for equal, (count, last_at) in counted.items():
            if equal in _pending or len(_pending) < MOST_DIFFERENT:
                more, later = _pending.get(equal, (0, last_at))
                _pending[equal] = (count + more, later)


def _storable(text: str, length: int) -> str:
    """Cut the text to the column, without what PostgreSQL has no place for."""
    return text[:length].replace("\x00", "").encode("utf-8", "replace").decode()


def _run() -> None:
    """Write once a second, and end when there is nothing more; the next refusal starts another."""
    while _pending:
        time.sleep(FLUSH_EVERY_S)
        flush()
        connection.close()


def _write_the_rest() -> None:
    if _pending:
        flush()
        connection.close()


_background = Background("refusals", _run)
atexit.register(_write_the_rest)
