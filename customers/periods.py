"""Calculate where billing periods start and end, in the customer's time zone.

A boundary is always the anchor moved by n intervals in local wall-clock time, never the previous boundary moved by one
interval: 31 January, 28 February, 31 March. A local time that the clock skips moves forward by the gap. Of a local time
that the clock repeats, the first is used. All datetimes are aware, and results are in UTC. Periods include their start
and exclude their end.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["day", "week", "month", "quarter", "half_year", "year"]

INSTANT = timedelta.resolution
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
_SECONDS = {"minute": 60, "hour": 3600}


class Alignment(StrEnum):
    """How periods are aligned: counted from the anchor, or to the calendar."""

    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"


class NoSuchPeriod(LookupError):
    """The requested period lies entirely before the start or after the end."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A billing interval, such as two weeks or one quarter. Raises ValueError unless `unit` is a `Unit`."""

    unit: str
    count: int = 1

    def __post_init__(self) -> None:
        if self.unit not in _DAYS and self.unit not in _MONTHS:
            raise ValueError(f"Unknown interval unit {self.unit!r}")
        if self.count < 1:
            raise ValueError("An interval needs a count of 1 or more")

    @property
    def days(self) -> int:
        """Return the length in days, 0 if the unit is measured in months."""
        return _DAYS.get(self.unit, 0) * self.count

    @property
    def months(self) -> int:
        """Return the length in months, 0 if the unit is measured in days."""
        return _MONTHS.get(self.unit, 0) * self.count

    def has_same_length(self, other: "Interval") -> bool:
        """Return whether both have the same length, such as three months and a quarter, or seven days and a week."""
        return (self.days, self.months) == (other.days, other.months)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A span of time that includes its start and excludes its end."""

    start: datetime
    end: datetime

    def contains(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def overlaps(self, other: "Period") -> bool:
        """Return whether the periods have time in common. Adjoining periods don't overlap."""
        return max(self.start, other.start) < min(self.end, other.end)

    def days(self, timezone: str) -> tuple[date, date]:
        """Return the first and last local day of the period. An empty period has the day of its start."""
        last = max(self.start, self.end - INSTANT)
        return local_date(self.start, timezone), local_date(last, timezone)

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where boundaries fall.

    Anniversary boundaries are the anchor moved by n intervals; in months they fall on the anchor's local day,
    clamped to the month's length. Calendar boundaries are local midnights: every Monday, first of the month, of the
    quarter, half-year or year; with a count above one, every count-th of them from the one at or before the anchor.
    Before the anchor boundaries go on backwards.
    """

    interval: Interval
    anchor: datetime
    timezone: str = "UTC"
    alignment: str = Alignment.ANNIVERSARY

    def __post_init__(self) -> None:
        _require_aware(self.anchor)
        ZoneInfo(self.timezone)
        Alignment(self.alignment)  # raises ValueError if unknown

    def boundary(self, n: int) -> datetime:
        """Return boundary n. The anchor is boundary 0, and n can be negative."""
        anchor = self.anchor.astimezone(
            UTC
        )  # the two moments of a repeated hour are equal in their own zone, but not in UTC
        return _boundary(self.interval, anchor, self.timezone, self.alignment, n)

    def index_at(self, at: datetime) -> int:
        """Return the number of the last boundary at or before a moment."""
        zone = ZoneInfo(self.timezone)
        origin = _origin(self.interval, self.anchor, zone, self.alignment).date()
        local = at.astimezone(zone).date()
        if self.interval.days:
            n = (local - origin).days // self.interval.days
        else:
            n = (_month_number(local) - _month_number(origin)) // self.interval.months
        # The day arithmetic ignores clock time and month ends, so it can be off by one, and by two where a zone skips a
        # day.
        while self.boundary(n) > at:
            n -= 1
        while self.boundary(n + 1) <= at:
            n += 1
        return n


@lru_cache(maxsize=4096)  # billing one subscription needs the same three or four boundaries about twenty times
def _boundary(interval: Interval, anchor: datetime, timezone: str, alignment: str, n: int) -> datetime:
    zone = ZoneInfo(timezone)
    local = _origin(interval, anchor, zone, alignment)
    if interval.days:
        day = local.date() + timedelta(days=n * interval.days)
    else:
        day = _month_day(_month_number(local.date()) + n * interval.months, local.day)
    return _to_utc(datetime.combine(day, local.time()), zone)


def _origin(interval: Interval, anchor: datetime, zone: ZoneInfo, alignment: str) -> datetime:
    local = anchor.astimezone(zone).replace(tzinfo=None, fold=0)
    if alignment == Alignment.CALENDAR:
        return datetime.combine(_calendar_start(local.date(), interval.unit), time())
    return local


def period_containing(
    schedule: Schedule,
    at: datetime,
    *,
    offset: int = 0,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
) -> Period:
    """Return the period that contains a moment, or the period `offset` later (-1: the previous period).

    The period is cut off at `started_at` and `ended_at`. A moment before the start gets the first period, a moment at
    or after the end the last. Raises NoSuchPeriod if the offset leads before the start or after the end.
    """
    moment = _require_aware(at) if started_at is None else max(at, started_at)
    n = schedule.index_at(moment)
    if ended_at is not None and moment >= ended_at:
        n = schedule.index_at(ended_at - timedelta.resolution)
    start, end = schedule.boundary(n + offset), schedule.boundary(n + offset + 1)
    if started_at is not None:
        start = max(start, started_at.astimezone(UTC))
    if ended_at is not None:
        end = min(end, ended_at.astimezone(UTC))
    if start >= end:
        raise NoSuchPeriod(f"There is no period {offset:+d} from {at.isoformat()}")
    return Period(start, end)


def periods_between(schedule: Schedule, started_at: datetime, until: datetime) -> list[Period]:
    """Return the adjoining periods from a start to an end, in order. The first and last are cut off there."""
    edges = [_require_aware(started_at).astimezone(UTC)]
    n = schedule.index_at(started_at) + 1
    while (boundary := schedule.boundary(n)) < until:
        edges.append(boundary)
        n += 1
    return _make_periods(edges, until.astimezone(UTC))


def local_midnight(day: date, timezone: str) -> datetime:
    """Return the moment at which a local day starts."""
    return _to_utc(datetime.combine(day, time()), ZoneInfo(timezone))


def local_date(at: datetime, timezone: str) -> date:
    """Return the local calendar day of a moment."""
    return _require_aware(at).astimezone(ZoneInfo(timezone)).date()


def windows(period: Period, unit: str, timezone: str = "UTC") -> list[Period]:
    """Split a period at local minutes, hours, days, Mondays, months and so on.

    The windows adjoin, and the first and last are cut off at the period's ends. Minutes and hours have their real
    length, also when the clock changes.
    """
    if unit == "minute" or unit == "hour":
        return _make_periods(list(_clock_boundaries(period, _SECONDS[unit], ZoneInfo(timezone))), period.end)
    schedule = Schedule(Interval(unit), period.start, timezone, Alignment.CALENDAR)
    return periods_between(schedule, period.start, period.end)


def _clock_boundaries(period: Period, seconds: int, zone: ZoneInfo) -> Iterator[datetime]:
    edge = period.start.astimezone(UTC)
    while edge < period.end:
        yield edge
        local = edge.astimezone(zone)
        past = timedelta(seconds=(local.minute * 60 + local.second) % seconds, microseconds=local.microsecond)
        edge += timedelta(seconds=seconds) - past


def _make_periods(edges: list[datetime], end: datetime) -> list[Period]:
    return [Period(start, stop) for start, stop in pairwise([*edges, end]) if start < stop]


def _calendar_start(day: date, unit: str) -> date:
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[unit]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _month_day(number: int, day: int) -> date:
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day, monthrange(year, month + 1)[1]))


def _to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    # With fold 0, zoneinfo takes the first of a repeated time, and reads a skipped time by the clock before the gap.
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _require_aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("A datetime needs a time zone")
    return at
