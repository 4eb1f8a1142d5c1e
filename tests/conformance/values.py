"""Reading the vectors' values, and writing results in the form of the inputs."""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.money import currency_places, exact
from customers.periods import Interval, Period, Schedule, local_date, local_midnight
from tests.conformance.registry import NotOffered, Policy

CURRENCIES = {0: "JPY", 2: "USD", 3: "KWD", 4: "CLF"}
MONTHS_BACK = 12
ROUNDING_MODES = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
    "ceil": ROUND_CEILING,
    "floor": ROUND_FLOOR,
}


def number(value: Any) -> Decimal:
    """Read a decimal string or JSON number."""
    return Decimal(str(value))


def optional_number(value: Any) -> Decimal | None:
    return None if value is None else number(value)


def whole_number(value: Any) -> int | None:
    return None if value is None else int(value)


def numbers(values: Iterable[Any]) -> list[Decimal]:
    return [number(value) for value in values]


def currency_with(places: int, currency: str | None = None) -> str:
    """Return a currency whose amounts have so many decimals: the named one if it has. Raises `NotOffered`."""
    if currency and currency_places(currency) == places:
        return currency
    if places not in CURRENCIES:
        raise NotOffered(f"amounts with {places} decimals: no currency has so many")
    return CURRENCIES[places]


def currency_for(policy: Policy) -> str:
    """Return the currency to bill a vector in that names none: one that rounds as it says, else the finest."""
    return CURRENCIES[int(policy.get("scale", 0)) if rounds_like_money(policy) else max(CURRENCIES)]


def rounds_like_money(policy: Policy) -> bool:
    """Return whether some currency has the vector's precision."""
    return policy.get("rounding") == "half_up" and int(policy.get("scale", 0)) in CURRENCIES


def rounded(exact_amount: Decimal, policy: Policy) -> Decimal:
    """Round an exact result as the vector's representation keys say."""
    if policy.get("rounding", "none") == "none":
        return exact_amount
    with exact():
        unit = Decimal(1).scaleb(-int(policy.get("scale", 0)))
        return exact_amount.quantize(unit, ROUNDING_MODES[policy["rounding"]])


def interval(value: Mapping[str, Any]) -> Interval:
    return Interval(value["unit"], int(value.get("count", 1)))


def anchor_of(start: datetime, length: Interval, day: int | None, timezone: str) -> datetime:
    """Return the billing anchor of a subscription that starts at a moment and is billed on a day of the month.

    The day lies in the start's month, or in the nearest month of the schedule before it that is long enough.
    """
    if day is None:
        return start
    local = start.astimezone(ZoneInfo(timezone))
    months = Schedule(length, local.replace(day=1), timezone)
    for n in range(0, -MONTHS_BACK, -1):
        month = months.boundary(n).astimezone(ZoneInfo(timezone))
        if day <= monthrange(month.year, month.month)[1]:
            return month.replace(day=day)
    return local.replace(day=monthrange(local.year, local.month)[1])


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
