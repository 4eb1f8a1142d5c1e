"""Local days and billing periods.

Boundaries are the anchor moved by whole intervals of local time, never the previous boundary moved by one. Periods
include their start and exclude their end.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from billing.proofs.rater.kinds import Unit

MONTHS = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.HALF_YEAR: 6, Unit.YEAR: 12}
DAYS = {Unit.DAY: 1, Unit.WEEK: 7}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)


class Span(NamedTuple):
    """Time from a start up to, and without, an end."""

    start: datetime
    end: datetime


def read_moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def read_span(data: dict[str, str]) -> Span:
    return Span(read_moment(data["start"]), read_moment(data["end"]))


def overlap(one: Span, other: Span) -> Span | None:
    """Return the time that two spans have in common."""
    both = Span(max(one.start, other.start), min(one.end, other.end))
    return both if both.start < both.end else None


def seconds(at: datetime) -> Fraction:
    """Return the exact seconds since 1970."""
    return Fraction((at - EPOCH) // MICROSECOND, 1_000_000)


def local_day(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def day_start(day: date, zone: str) -> datetime:
    return _to_utc(datetime.combine(day, time()), zone)


def count_days(span: Span, zone: str) -> int:
    """Count the local midnights of a span: a day of 23 hours is a day."""
    return (local_day(span.end, zone) - local_day(span.start, zone)).days


def share(full: Span, part: Span, zone: str) -> Fraction:
    """Return which share of a period a part takes, by local days: 20 of 30 days is 2/3.

    The day on which the part starts counts, the day on which it ends doesn't. A period within one local day has no full
    day, and is measured in time.
    """
    days = count_days(full, zone)
    if not days:
        inside = overlap(full, part)
        return (
            (seconds(inside.end) - seconds(inside.start)) / (seconds(full.end) - seconds(full.start))
            if inside
            else Fraction(0)
        )
    first = max(local_day(full.start, zone), local_day(part.start, zone))
    last = min(local_day(full.end, zone), local_day(part.end, zone))
    return Fraction(max((last - first).days, 0), days)


@dataclass(frozen=True)
class Cycle:
    """Where billing periods begin: every `count` units from the anchor, or from the calendar's first day before it."""

    unit: Unit
    count: int
    anchor: datetime
    zone: str
    is_calendar: bool = False

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Cycle":
        return cls(
            Unit(data["unit"]),
            data["count"],
            read_moment(data["anchor"]),
            data["timezone"],
            data["alignment"] == "calendar",
        )

    def with_unit(self, unit: Unit) -> "Cycle":
        """Return the weeks or months that are counted from the same anchor."""
        return Cycle(unit, 1, self.anchor, self.zone, self.is_calendar)

    def boundary(self, number: int) -> datetime:
        local = self._origin()
        if self.unit in DAYS:
            moved = local + timedelta(days=DAYS[self.unit] * self.count * number)
        else:
            months = local.year * 12 + local.month - 1 + MONTHS[self.unit] * self.count * number
            year, month = months // 12, months % 12 + 1
            moved = local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1]))
        return _to_utc(moved, self.zone)

    def number_at(self, at: datetime) -> int:
        """Return the number of the period that a moment is in."""
        local, origin = at.astimezone(ZoneInfo(self.zone)), self._origin()
        if self.unit in DAYS:
            number = (local.date() - origin.date()).days // (DAYS[self.unit] * self.count)
        else:
            months = (local.year - origin.year) * 12 + local.month - origin.month
            number = months // (MONTHS[self.unit] * self.count)
        number += 3
        while self.boundary(number) > at:
            number -= 1
        return number

    def full(self, number: int) -> Span:
        return Span(self.boundary(number), self.boundary(number + 1))

    def cut(self, span: Span) -> list[Span]:
        """Cut a span into the full periods that it touches."""
        periods, number = [], self.number_at(span.start)
        while self.boundary(number) < span.end:
            periods.append(self.full(number))
            number += 1
        return periods

    def _origin(self) -> datetime:
        local = self.anchor.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None, fold=0)
        if not self.is_calendar:
            return local
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.unit == Unit.WEEK:
            return day - timedelta(days=day.weekday())
        if self.unit == Unit.DAY:
            return day
        length = MONTHS[self.unit]
        return day.replace(month=(day.month - 1) // length * length + 1, day=1)


def cut_days(span: Span, zone: str) -> list[Span]:
    """Cut a span at local midnights."""
    parts, start = [], span.start
    while start < span.end:
        end = min(next_midnight(start, zone), span.end)
        parts.append(Span(start, end))
        start = end
    return parts


def next_midnight(at: datetime, zone: str) -> datetime:
    """Return the first local midnight after a moment. A zone can skip a day, whose midnight is then the next day's."""
    day, midnight = local_day(at, zone), at
    while midnight <= at:
        day += timedelta(days=1)
        midnight = day_start(day, zone)
    return midnight


def _to_utc(local: datetime, zone: str) -> datetime:
    """Convert local time. Of a repeated time the first is used; a skipped time moves on by the gap."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
