"""Seal events: write them to the store, read them back, publish the part, and remove its events from the ledger.

Each step is a transaction, and the part's state says which is next. Every function is safe to repeat and to run
concurrently: after a kill at any moment, the next run continues, and every event counts exactly once at all times.
"""

import logging
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pglock
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from events.history import transfer
from events.history.content import Content, add_up_gathered, gather_part
from events.history.locks import hold_part
from events.history.planning import new_name, plan
from events.history.selection import EventSelection
from events.history.stores import get_store
from events.models import PartState, SealedPart
from events.sql import COLUMNS, compose, sections

logger = logging.getLogger(__name__)

PLACES_AT_A_TIME = 20_000
MICROSECOND = timedelta(microseconds=1)


def seal_next(*, now: datetime) -> bool:
    """Take the oldest unfinished part that no one else works on one step further; return whether there was one.

    New parts are planned when none is unfinished, or all are being worked on.
    """
    return _advance_any() or (bool(plan(now=now)) and _advance_any())


def _advance_any() -> bool:
    return any(_advance(pk) for pk in SealedPart.objects.unfinished().order_by("pk").values_list("pk", flat=True))


def _advance(pk: int) -> bool:
    with pglock.advisory(f"seal part {pk}", timeout=0) as is_mine:
        part = SealedPart.objects.unfinished().filter(pk=pk).first() if is_mine else None
        if part is None:
            return False
        return write_part(part) if part.state == PartState.PLANNED else forget(part)


def write_part(part: SealedPart) -> bool:
    """Write a planned part to the store, read it back, and publish it; return whether it is what was written.

    If it isn't, it is written again under another name the next time. Raises StoreFailed.
    """
    parent = Path(settings.DATA_DIR) / "sealing"  # the system's own folder for temporary files may be small
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=parent) as folder:
        rows = Path(folder) / "rows.csv"
        content = _gather(part, rows)
        if not content.rows:
            _finish_empty(part)
            return True
        size = get_store().write(part.name, rows)
    if _publish(part, content, size):
        return True
    logger.error("part %s isn't what was written, and is written again under another name", part.name)
    SealedPart.objects.filter(pk=part.pk, state=PartState.PLANNED).update(name=new_name(part.first_event))
    return False


@transaction.atomic
def _gather(part: SealedPart, file: Path) -> Content:
    """Write the range's sealable events to a file. One statement selects them, so that they are of one moment."""
    parameters: dict[str, Any] = {
        "first": part.first_event,
        "last": part.last_event,
        "is_late": part.is_late,
        "before": part.planned_at - timedelta(days=settings.SEAL_AFTER_DAYS),
    }
    with connection.cursor() as cursor:
        transfer.prepare_gathering(cursor)
        cursor.execute("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off")
        cursor.execute(compose(sections("history")["gather"], columns=COLUMNS), parameters)
        content = add_up_gathered(cursor)
        if content.rows:
            transfer.write_rows(cursor, file)
    return content


def _finish_empty(part: SealedPart) -> None:
    SealedPart.objects.filter(pk=part.pk, state=PartState.PLANNED).update(
        state=PartState.SEALED, rows=0, checksum=0, bytes=0, published_at=Now(), sealed_at=Now()
    )


def _publish(part: SealedPart, written: Content, size: int) -> bool:
    """Read the part from the store, and make it part of the ledger if it is what was written; return whether it is.

    Its ids are known from this commit on, and only a later one removes its events.
    """
    store = get_store()
    with transaction.atomic(), connection.cursor() as cursor:
        if gather_part(cursor, store.read([part.name], EventSelection())) != written:
            return False
        locked = SealedPart.objects.select_for_update().get(pk=part.pk)
        if locked.state != PartState.PLANNED or locked.name != part.name:
            return True
        cursor.execute(sections("history")["know"], {"part": part.pk})
        SealedPart.objects.filter(pk=part.pk).update(
            state=PartState.PUBLISHED,
            rows=written.rows,
            checksum=written.checksum,
            occurred_from=written.first_at,
            occurred_until=written.last_at,
            bytes=size,
            digest=store.digest(part.name),
            published_at=Now(),
        )
    return True


def forget(part: SealedPart) -> bool:
    """Remove a published part's events from the ledger once every running transaction sees the part.

    Returns whether they are removed. Events that changed since they were written stay, and are the ones that count.
    """
    if _is_older_running(part):
        return False
    places = range(part.first_event, part.last_event, PLACES_AT_A_TIME)
    return all(_forget_places(part, first) for first in places) and _finish(part)


def _is_older_running(part: SealedPart) -> bool:
    """Return whether a transaction is running that may have begun before the part was published."""
    with connection.cursor() as cursor:
        cursor.execute(sections("history")["running"])
        running: list[str] = cursor.fetchone()[0]
    SealedPart.objects.filter(pk=part.pk, waits_for=None).update(waits_for=running)
    part.refresh_from_db(fields=["waits_for"])
    return not set(part.waits_for or ()).isdisjoint(running)


@transaction.atomic
def _forget_places(part: SealedPart, first: int) -> bool:
    """Remove a range of a part's events from the ledger; return False if someone reads the part now."""
    with connection.cursor() as cursor:
        if not hold_part(cursor, part.pk):
            return False
        last = min(first + PLACES_AT_A_TIME, part.last_event)
        cursor.execute(sections("history")["forget"], {"part": part.pk, "first": first, "last": last})
    return True


@transaction.atomic
def _finish(part: SealedPart) -> bool:
    """Record that a part's events have left the ledger, and how many stayed."""
    with connection.cursor() as cursor:
        parameters = {"part": part.pk, "first": part.first_event, "last": part.last_event}
        cursor.execute(sections("history")["remaining"], parameters)
        remaining = cursor.fetchone()[0]
    SealedPart.objects.filter(pk=part.pk, state=PartState.PUBLISHED).update(
        state=PartState.SEALED, sealed_at=Now(), returned=remaining
    )
    return True
