"""Conflicts: events that used the event_id of another event, by cause. Staff dismiss those that they have seen."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from config.audit import record_changes, recorded
from config.refusals import ReasonRequired
from events.history.lookup import load_called
from events.models import ApiKey, DuplicateEvent
from events.models.duplicates import DISMISSAL, Difference
from events.sql import compose, ledger_of, sections, statement

CONFLICTS_READ = 10_000  # per cause
MAX_CAUSES = 200
MOST_AT_ONCE = 20_000
COMPARED_AT_A_TIME = 1_000
MEANINGS = {
    Difference.CUSTOMER: "An event of another customer had this ID before, so this customer's usage isn't counted.",
    Difference.SOURCE: "Another source sent an event with this ID before: two systems use the same IDs.",
    Difference.EVENT_NAME: "An event with another name had this ID before.",
    Difference.TIMESTAMP: "An event with another timestamp had this ID before: a second event, or a changed retry.",
    Difference.PROPERTIES: "An event with other properties had this ID before. A second one doesn't correct it.",
}
FIXES = {
    Difference.CUSTOMER: "Make IDs unique across customers, and send these events again under new IDs.",
    Difference.SOURCE: "Make IDs unique across sources, and send again what isn't the same usage reported twice.",
    Difference.EVENT_NAME: "Give every event its own ID, and send these events again under new IDs.",
    Difference.TIMESTAMP: "Keep the timestamp in retries. Send further events again under new IDs.",
    Difference.PROPERTIES: "To correct an event, void it and send the right one under a new ID.",
}
SERIOUS = {Difference.CUSTOMER, Difference.SOURCE}


@dataclass(frozen=True)
class ConflictCause:
    """Open conflicts sent with one API key that have the same main difference from the events that were counted.

    `events` are the distinct contents that weren't counted; `event_ids` are the newest three, `sources` at most five.
    An API key of None means that the events came without a key.
    """

    api_key: ApiKey | None
    difference: Difference
    events: int
    is_capped: bool
    customers: int
    sources: Sequence[str]
    event_ids: Sequence[str]
    first_at: datetime
    last_at: datetime

    @property
    def meaning(self) -> str:
        return MEANINGS[self.difference]

    @property
    def fix(self) -> str:
        return FIXES[self.difference]

    @property
    def is_serious(self) -> bool:
        """Return whether two systems or customers share ids, so that usage is lost, rather than a retry changed."""
        return self.difference in SERIOUS


def open_conflicts() -> list[ConflictCause]:
    """Group the open conflicts by cause, the largest group first. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(statement("conflicts"), {"causes": MAX_CAUSES, "cap": CONFLICTS_READ})
        rows = cursor.fetchall()
    keys = ApiKey.objects.in_bulk({key_id for key_id, *_ in rows if key_id is not None})
    return [ConflictCause(keys.get(key_id), Difference(difference), *figures) for key_id, difference, *figures in rows]


def dismiss_conflicts(
    conflicts: QuerySet[DuplicateEvent], *, reason: str, now: datetime, by: User | None = None
) -> int:
    """Mark open conflicts as dismissed, at most 20,000 of them; return how many. Other duplicates are skipped.

    Nothing is counted. The conflicts stay on record with the reason, each with an entry in the change log.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for dismissing the conflict.")
    text = reason.strip()[:255]
    with transaction.atomic(), recorded(by=by, reason=text):
        rows = conflicts.filter(pk__in=DuplicateEvent.objects.open()).order_by("pk").select_for_update(of=("self",))
        before = list(rows.only("event_id", *DISMISSAL)[:MOST_AT_ONCE])
        after = [copy(row) for row in before]
        for row in after:
            row.dismissed_at, row.dismissed_by, row.dismissal = now, by, text
        record_changes(zip(before, after, strict=True))
        return DuplicateEvent.objects.filter(pk__in=[row.pk for row in before]).update(
            dismissed_at=now, dismissed_by=by, dismissal=text
        )


def compare_unread(*, limit: int = COMPARED_AT_A_TIME) -> int:
    """Compare repeats of sealed events with the first events, in one transaction; return how many. Safe to repeat."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sections("repeats")["unread"], {"limit": limit})
        event_ids = dict(cursor.fetchall())
        if event_ids:
            with_sealed = load_called(event_ids.values())
            fragments = {"differs": sections("repeats")["differs"], **ledger_of(with_sealed=with_sealed)}
            cursor.execute(compose(sections("repeats")["compare"], **fragments), {"ids": list(event_ids)})
    return len(event_ids)
