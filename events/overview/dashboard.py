"""Figures about events for the dashboards: how many are waiting, how fast they arrive, and how they ended.

The cost doesn't depend on the ledger's size: each function reads an index, a bounded range or the log of batches.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import connection
from django.db.models import Func, IntegerField, Max, Sum
from django.db.models.functions import TruncHour

from events.models import InboxRequest, ProcessedBatch
from events.sql import statement

WAITING_CAP = 10_001
# How far out of order the times of arrival from different processes can be.
ARRIVAL_SLACK = timedelta(minutes=1)


@dataclass(frozen=True)
class Waiting:
    """Accepted events that aren't processed yet. `count` stops at WAITING_CAP; `oldest_s` is 0.0 if there are none."""

    count: int
    oldest_s: float

    @property
    def is_capped(self) -> bool:
        return self.count >= WAITING_CAP


@dataclass(frozen=True)
class Ended:
    """How the events processed in a time range ended. `duplicates` includes `conflicts`."""

    events: int = 0
    counted: int = 0
    partly: int = 0
    problems: int = 0
    duplicates: int = 0
    conflicts: int = 0

    @property
    def counted_share(self) -> int | None:
        """Return the percentage that counted, rounded down so that 100 means all; None without events."""
        return self.counted * 100 // self.events if self.events else None


@dataclass(frozen=True)
class Hour:
    """An hour of the chart, and how the events processed in it ended."""

    start: datetime
    ended: Ended


ENDINGS = ("events", "counted", "partly", "problems", "duplicates", "conflicts")


def waiting(*, now: datetime) -> Waiting:
    """Count the events in the inbox, up to a cap, and how long the oldest has waited."""
    oldest = InboxRequest.objects.order_by("pk").values_list("received_at", flat=True).first()
    if oldest is None:
        return Waiting(0, 0.0)
    return Waiting(waiting_events(WAITING_CAP), max((now - oldest).total_seconds(), 0.0))


def waiting_events(limit: int) -> int:
    """Count the events in the inbox, up to a limit."""
    events = Func("ids", function="cardinality", output_field=IntegerField())
    requests = InboxRequest.objects.order_by().annotate(events=events)[:limit]
    count = requests.aggregate(Sum("events"))["events__sum"] or 0
    return min(int(count), limit)


def ended(*, since: datetime) -> Ended:
    """Add up how the events processed since a given time ended, from the log of batches.

    Later replays and voids don't change these figures; for open problems, see `events.ledger.causes`.
    """
    sums = ProcessedBatch.objects.filter(finished_at__gte=since).aggregate(**{name: Sum(name) for name in ENDINGS})
    return Ended(**{name: sums[name] or 0 for name in ENDINGS})


def arriving_per_minute(*, now: datetime, minutes: int = 5) -> int:
    """Return the average number of events processed per minute in the last minutes."""
    processed = ProcessedBatch.objects.filter(finished_at__gte=now - timedelta(minutes=minutes)).aggregate(
        Sum("events")
    )
    return round((processed["events__sum"] or 0) / minutes)


def volume(*, now: datetime, hours: int) -> list[Hour]:
    """Return the last hours including hours without events, oldest first, ending with the current hour."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    rows = (
        ProcessedBatch.objects.filter(finished_at__gte=first)
        .annotate(hour=TruncHour("finished_at"))
        .order_by()
        .values("hour")
        .annotate(**{f"{name}_sum": Sum(name) for name in ENDINGS})
    )
    outcomes = {row["hour"]: Ended(**{name: cast(Any, row)[f"{name}_sum"] for name in ENDINGS}) for row in rows}
    starts = [first + timedelta(hours=number) for number in range(hours)]
    return [Hour(start, outcomes.get(start, Ended())) for start in starts]


def last_processed_at() -> datetime | None:
    """Return when the last batch finished; None before the first."""
    return cast(datetime | None, ProcessedBatch.objects.aggregate(last=Max("finished_at"))["last"])


def first_id_received_since(moment: datetime) -> int:
    """Return a ledger id such that every event received since the given time has this id or a higher one.

    Ids are in the order of arrival, so this turns a time range into a range of the primary key. Includes a minute of
    tolerance: filter by the time as well.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement("first_received"), {"moment": moment - ARRIVAL_SLACK})
        first_id = cursor.fetchone()[0]
    return 0 if first_id is None else int(first_id)
