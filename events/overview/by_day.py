"""Events and open problems by the UTC day on which they occurred, for the last days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.db.models.functions import TruncDay

from events.models import Event, EventState, Problem, ProblemState
from events.overview.dashboard import first_id_received_since
from events.reasons import Reason

DAYS = 30
# Fewer days are counted if more events than this were received in them: about two seconds of reading.
MOST_EVENTS = 5_000_000


@dataclass(frozen=True)
class EventDays:
    """The numbers of events by state, one for each day, oldest first."""

    days: Sequence[datetime]
    counts: dict[EventState, list[int]]


@dataclass(frozen=True)
class ProblemDays:
    """The numbers of open problems by reason, one for each day, oldest first; the most frequent reason first."""

    days: Sequence[datetime]
    counts: dict[Reason, list[int]]


def events_by_day(*, now: datetime) -> EventDays:
    """Count the events that were received and occurred in the last days, by day and current state. Three queries."""
    newest = Event.objects.aggregate(newest=Max("pk"))["newest"] or 0
    for number in (DAYS, 14, 7, 1):
        days = last_days(now, number)
        first_id = first_id_received_since(days[0])
        if newest - first_id < MOST_EVENTS:
            break
    events = Event.objects.filter(pk__gte=first_id, occurred_at__gte=days[0], occurred_at__lte=now)
    rows = events.annotate(day=TruncDay("occurred_at")).order_by().values_list("day", "state").annotate(Count("pk"))
    position = {day: index for index, day in enumerate(days)}
    counts: dict[EventState, list[int]] = {state: [0] * len(days) for state in EventState}
    for day, state, count in rows:
        counts[EventState(state)][position[day]] = count
    return EventDays(days, counts)


def problems_by_day(*, now: datetime) -> ProblemDays:
    """Count open problems by the day on which their events occurred, and by reason. One query, of an index."""
    days = last_days(now, DAYS)
    problems = Problem.objects.filter(state=ProblemState.OPEN, occurred_at__gte=days[0], occurred_at__lte=now)
    rows = problems.annotate(day=TruncDay("occurred_at")).order_by().values_list("day", "reason").annotate(Count("pk"))
    position = {day: index for index, day in enumerate(days)}
    counts: dict[Reason, list[int]] = {}
    for day, reason, count in rows:
        counts.setdefault(Reason(reason), [0] * len(days))[position[day]] = count
    return ProblemDays(days, dict(sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))))


def last_days(now: datetime, number: int) -> list[datetime]:
    """Return the starts of the last UTC days, oldest first, the current day last."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=number - 1 - offset) for offset in range(number)]
