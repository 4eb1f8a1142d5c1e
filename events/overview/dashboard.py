"""Numbers that the screens show of events: what waits, how fast, how events ended, and what keeps some from counting.

Every function costs the same whatever the ledger holds: it reads an index, a bounded stretch, or the log of batches.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import connection
from django.db.models import Func, IntegerField, Max, Sum
from django.db.models.functions import TruncHour

from events.models import DuplicateEvent, InboxRequest, ProcessedBatch
from events.models.ledger import DuplicateKind
from events.sql import statement

WAITING_CAP = 10_001
CONFLICT_CAP = 1_001
# How far apart the clocks and commits of processes that note arrivals can be.
ARRIVAL_SLACK = timedelta(minutes=1)


@dataclass(frozen=True)
class Waiting:
    """Accepted events that are not processed yet. `count` stops at WAITING_CAP; `oldest_s` is 0.0 when none waits."""

    count: int
    oldest_s: float

    @property
    def is_capped(self) -> bool:
        return self.count >= WAITING_CAP


@dataclass(frozen=True)
class Ended:
    """How events ended that were processed in some time. `duplicates` includes `conflicts`; all sum up to `events`."""

    events: int = 0
    counted: int = 0
    partly: int = 0
    problems: int = 0
    duplicates: int = 0
    conflicts: int = 0

    @property
    def counted_share(self) -> int | None:
        """The percentage that counted, rounded down, so that 100 means all; None when nothing was processed."""
        return self.counted * 100 // self.events if self.events else None


@dataclass(frozen=True)
class Hour:
    """One hour of the chart, and how the events processed in it ended."""

    start: datetime
    ended: Ended


ENDINGS = ("events", "counted", "partly", "problems", "duplicates", "conflicts")


def waiting(*, now: datetime) -> Waiting:
    """Count what waits in the inbox, up to a cap, and how long the oldest has waited."""
    oldest = InboxRequest.objects.order_by("pk").values_list("received_at", flat=True).first()
    if oldest is None:
        return Waiting(0, 0.0)
    return Waiting(waiting_events(WAITING_CAP), max((now - oldest).total_seconds(), 0.0))


def waiting_events(limit: int) -> int:
    """Count what waits in the inbox, up to a limit."""
    events = Func("ids", function="cardinality", output_field=IntegerField())
    requests = InboxRequest.objects.order_by().annotate(events=events)[:limit]
    found = requests.aggregate(Sum("events"))["events__sum"] or 0
    return min(int(found), limit)


def ended(*, since: datetime) -> Ended:
    """Add up how events ended on arrival that were processed since a moment, from the log of batches.

    What is mended, replayed or voided later doesn't change it: for what is open now, see `causes`.
    """
    sums = ProcessedBatch.objects.filter(finished_at__gte=since).aggregate(**{name: Sum(name) for name in ENDINGS})
    return Ended(**{name: sums[name] or 0 for name in ENDINGS})


def arriving_per_minute(*, now: datetime, minutes: int = 5) -> int:
    """Give the average number of events taken in a minute, of the last few; those still waiting are not in it."""
    taken = ProcessedBatch.objects.filter(finished_at__gte=now - timedelta(minutes=minutes)).aggregate(Sum("events"))
    return round((taken["events__sum"] or 0) / minutes)


def volume(*, now: datetime, hours: int) -> list[Hour]:
    """Give the last hours, oldest first, the current one last; hours without events too."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    rows = (
        ProcessedBatch.objects.filter(finished_at__gte=first)
        .annotate(hour=TruncHour("finished_at"))
        .order_by()
        .values("hour")
        .annotate(**{f"{name}_sum": Sum(name) for name in ENDINGS})
    )
    known = {row["hour"]: Ended(**{name: cast(Any, row)[f"{name}_sum"] for name in ENDINGS}) for row in rows}
    starts = [first + timedelta(hours=number) for number in range(hours)]
    return [Hour(start, known.get(start, Ended())) for start in starts]


def last_processed_at() -> datetime | None:
    """Tell when a batch last finished; None before the first."""
    return cast(datetime | None, ProcessedBatch.objects.aggregate(last=Max("finished_at"))["last"])


def conflicts_since(moment: datetime) -> int:
    """Count repeats with another body that came since a moment, up to CONFLICT_CAP."""
    recent = DuplicateEvent.objects.filter(kind=DuplicateKind.CONFLICT, last_at__gte=moment)
    return recent.order_by()[:CONFLICT_CAP].count()


def first_id_received_since(moment: datetime) -> int:
    """Give a ledger id before which no event was received at or after the moment; above all ids when none was.

    Ids are in the order of arrival, so this turns a range of time into a stretch of the primary key. A minute's
    slack is in it: filter by the time as well.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement("first_received"), {"moment": moment - ARRIVAL_SLACK})
        found = cursor.fetchone()[0]
    return 0 if found is None else int(found)
