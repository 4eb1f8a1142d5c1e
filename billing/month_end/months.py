"""Calendar months in UTC, which the month-end report uses throughout."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from customers.periods import Period


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, with its period in UTC."""

    first: date

    @classmethod
    def named(cls, name: str) -> "Month":
        """Parse a month such as 2026-09, in the years 1000 to 9000. Raises `ValueError`."""
        first = date.fromisoformat(f"{name}-01")
        if not 1000 <= first.year <= 9000:
            raise ValueError("Choose a year from 1000 to 9000")
        return cls(first)

    @classmethod
    def before(cls, now: datetime) -> "Month":
        """Return the month before a moment's month: the month to close next."""
        today = now.astimezone(UTC).date()
        return cls((today.replace(day=1) - timedelta(days=1)).replace(day=1))

    @property
    def next(self) -> "Month":
        return Month((self.first + timedelta(days=31)).replace(day=1))

    @property
    def previous(self) -> "Month":
        return Month((self.first - timedelta(days=1)).replace(day=1))

    @property
    def last(self) -> date:
        return self.next.first - timedelta(days=1)

    @property
    def days(self) -> tuple[date, date]:
        """Return its first day, and that of the next month."""
        return self.first, self.next.first

    @property
    def period(self) -> Period:
        return Period(_start(self.first), _start(self.next.first))

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
