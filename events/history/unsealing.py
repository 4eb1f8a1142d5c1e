"""Return parts to the ledger as they were, to stop sealing events, or to keep more of them in PostgreSQL."""

import pglock
from django.db import connection, transaction
from django.db.models.functions import Now

from events.history.content import Content, gather_part
from events.history.locks import hold_part
from events.history.selection import EventSelection
from events.history.stores import StoreFailed, get_store
from events.models import PartState, SealedPart
from events.sql import COLUMNS, compose, sections


def unseal_part(part: SealedPart) -> bool:
    """Return a part's events to the ledger, untouched; return False if someone reads or seals the part now.

    Its object is deleted some weeks later, like those that retention removed. Safe to repeat. Raises StoreFailed.
    """
    with pglock.advisory(f"seal part {part.pk}", timeout=0) as is_mine, transaction.atomic():
        return is_mine and _unseal(part)


def _unseal(part: SealedPart) -> bool:
    with connection.cursor() as cursor:
        if not hold_part(cursor, part.pk):
            return False
        part.refresh_from_db()
        if part.state in (PartState.PUBLISHED, PartState.SEALED) and part.rows:
            content = gather_part(cursor, get_store().read([part.name], EventSelection()))
            if content != Content(part.rows, part.checksum or 0, part.occurred_from, part.occurred_until):
                raise StoreFailed(f"{part.name} isn't what was published. manage.py unseal changed nothing of it.")
            cursor.execute(compose(sections("history")["unseal"], columns=COLUMNS), {"part": part.pk})
            cursor.execute(sections("history")["leave_part"], {"part": part.pk})
    SealedPart.objects.filter(pk=part.pk).update(state=PartState.REMOVED, removed_at=Now())
    return True
