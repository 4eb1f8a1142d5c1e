"""Write parts again without some of their events: to erase personal data, which can't be changed in a stored object."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from events.history import transfer
from events.history.changing import return_to_ledger
from events.history.content import add_up_gathered, gather_part
from events.history.planning import new_name
from events.history.reading import load
from events.history.selection import EventSelection
from events.history.stores import StoreFailed, get_store, is_on
from events.models import PartState, SealedPart
from events.sql import sections


@transaction.atomic
def take_out_customer(customer_id: int) -> int:
    """Return a customer's sealed events to the ledger, and write their parts again without them; return how many.

    The replaced objects are deleted some weeks later, like the backups that name them. Safe to repeat.
    """
    if not is_on():
        return 0
    count = 0
    with connection.cursor() as cursor:
        for part in SealedPart.objects.readable().order_by("pk"):
            selection = EventSelection(customers=[customer_id], part=part.pk)
            if gather_part(cursor, get_store().read([part.name], selection)).rows:
                count += _return(cursor, selection)
                _replace(cursor, part)
    return count


def _return(cursor: Any, selection: EventSelection) -> int:
    load([selection])
    cursor.execute("SELECT id FROM sealed WHERE customer_id = ANY(%s)", [list(selection.customers or ())])
    return return_to_ledger(cursor, [row[0] for row in cursor.fetchall()])


def _replace(cursor: Any, part: SealedPart) -> None:
    """Write a part again without its events that are in the ledger, prove it, and let it take the part's place."""
    store = get_store()
    gather_part(cursor, store.read([part.name], EventSelection()))
    cursor.execute(sections("history")["drop_touched"])
    content = add_up_gathered(cursor)
    name, size = new_name(part.first_event), 0
    if content.rows:
        with TemporaryDirectory(dir=settings.DATA_DIR) as folder:
            transfer.write_rows(cursor, Path(folder) / "rows.csv")
            size = store.write(name, Path(folder) / "rows.csv")
        if gather_part(cursor, store.read([name], EventSelection())) != content:
            raise StoreFailed(f"{name} isn't what was written.")
    replacement = SealedPart.objects.create(
        name=name,
        state=part.state,
        is_late=part.is_late,
        first_event=part.first_event,
        last_event=part.last_event,
        occurred_from=content.first_at,
        occurred_until=content.last_at,
        rows=content.rows,
        checksum=content.checksum,
        bytes=size,
        digest=store.digest(name) if content.rows else "",
        planned_at=part.planned_at,
        published_at=part.published_at,
        waits_for=part.waits_for,
        sealed_at=part.sealed_at,
    )
    cursor.execute(sections("history")["know"], {"part": replacement.pk})
    SealedPart.objects.filter(pk=part.pk).update(state=PartState.REMOVED, removed_at=Now())
