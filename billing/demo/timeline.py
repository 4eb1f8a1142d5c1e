"""The dates of the demo. Pure.

All dates depend on the day on which the demo was created, which the database stores. A later run therefore sends the
same events again, and adds only those since.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

COMPANY = "Larkspur AI"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The dates that follow from the day (UTC) of creation. Usage begins on the first day of the month before."""

    made_on: date

    @property
    def begins_on(self) -> date:
        return (self.made_on.replace(day=1) - timedelta(days=1)).replace(day=1)

    @property
    def offers_published_at(self) -> datetime:
        """Return a time that is before the first subscription in every time zone."""
        return midnight(self.begins_on - timedelta(days=7), "UTC")

    def day(self, number: int) -> date:
        """Return a day of the month in which usage begins, counted from 1."""
        return self.begins_on.replace(day=number)


def midnight(day: date, zone: str) -> datetime:
    """Return the time, in UTC, at which a day begins in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
