"""Helpers for tests of sealed events."""

from datetime import datetime, timedelta

from events.history.sealing import seal_next
from events.models import Event, SealedPart
from tests.events.senders import NOON

LATER = NOON + timedelta(days=400)


def seal_all(*, now: datetime = LATER) -> None:
    """Seal every event that can be sealed."""
    while seal_next(now=now):
        pass


def part_of_all(*, is_late: bool = False) -> SealedPart:
    """Plan a part of all events of the ledger."""
    first, last = Event.objects.order_by("pk").first(), Event.objects.order_by("pk").last()
    assert first is not None
    assert last is not None
    return SealedPart.objects.create(
        name=f"events-{first.pk}-{last.pk}-{SealedPart.objects.count()}",
        is_late=is_late,
        first_event=first.pk,
        last_event=last.pk + 1,
        planned_at=LATER,
    )
