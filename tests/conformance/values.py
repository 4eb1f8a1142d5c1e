"""Reading the vectors' values, and writing results in the form of the inputs."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from customers.periods import Interval, Period, local_date, local_midnight


def number(value: Any) -> Decimal:
    """Read a decimal string or JSON number."""
    return Decimal(str(value))


def optional_number(value: Any) -> Decimal | None:
    return None if value is None else number(value)


def whole_number(value: Any) -> int | None:
    return None if value is None else int(value)


def numbers(values: Iterable[Any]) -> list[Decimal]:
    return [number(value) for value in values]


def fraction(pair: Any) -> Fraction:
    """Read a share written as [numerator, denominator]; none is the whole."""
    if pair is None:
        return Fraction(1)
    numerator, denominator = pair
    return Fraction(number(numerator)) / Fraction(number(denominator))


def interval(value: Mapping[str, Any]) -> Interval:
    return Interval(value["unit"], int(value.get("count", 1)))


def instant(at: datetime) -> str:
    """Write a moment in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Moments:
    """Reads a vector's instants and local dates, and writes results as dates if it saw nothing else.

    What isn't the beginning of a local day is written as an instant all the same.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.timezone = inputs.get("timezone") or "UTC"
        self._only_dates = True

    def read(self, value: str) -> datetime:
        if len(value) == len("2024-01-31"):
            return local_midnight(date.fromisoformat(value), self.timezone)
        self._only_dates = False
        return datetime.fromisoformat(value).astimezone(UTC)

    def optional(self, value: str | None) -> datetime | None:
        return None if value is None else self.read(value)

    def period(self, value: Mapping[str, Any]) -> Period:
        return Period(self.read(value["start"]), self.read(value["end"]))

    def write(self, at: datetime) -> str:
        day = local_date(at, self.timezone)
        if self._only_dates and local_midnight(day, self.timezone) == at:
            return day.isoformat()
        return instant(at)

    def write_period(self, period: Period) -> dict[str, str]:
        return {"start": self.write(period.start), "end": self.write(period.end)}
