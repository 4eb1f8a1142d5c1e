"""When the demo plays. Pure.

Everything is counted from the day on which the demo was made, which the database remembers: so a later run, with
another today, sends the same events again and only adds what happened since.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

COMPANY = "Larkspur AI"


@dataclass(frozen=True, slots=True)
class Story:
    """The dates of the demo, all from the day (UTC) it was made: usage begins on the first of the month before."""

    made_on: date

    @property
    def begins_on(self) -> date:
        return (self.made_on.replace(day=1) - timedelta(days=1)).replace(day=1)

    @property
    def offers_published_at(self) -> datetime:
        """A week before the first customer can subscribe, anywhere on earth."""
        return midnight(self.begins_on - timedelta(days=7), "UTC")

    def day(self, number: int) -> date:
        """Return a day of the month in which usage begins; 1 is the first."""
        return self.begins_on.replace(day=number)


def midnight(day: date, zone: str) -> datetime:
    """Return the moment, in UTC, at which a day begins in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
