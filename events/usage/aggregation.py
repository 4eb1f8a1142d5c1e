"""Aggregated quantities from what buckets keep. Pure: no database, no clock."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

# Wide enough for any sum of thirty-digit values, so that adding and multiplying never round.
EXACT = Context(prec=200)
# A quotient has no end: averages and sums weighted by time are kept to this many digits.
QUOTIENT = Context(prec=50, rounding=ROUND_HALF_UP)
ZERO = Decimal(0)
DAWN = datetime(1, 1, 1, tzinfo=UTC)
ROUNDINGS = {"round": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}


@dataclass(frozen=True)
class Sums:
    """What the counted events of a window add up to. `before` is Σ value of all events before it."""

    count: int = 0
    total: Decimal = ZERO
    weighted: Decimal = ZERO
    maximum: Decimal | None = None
    minimum: Decimal | None = None
    checksum: int = 0
    latest: Decimal | None = None
    latest_at: datetime | None = None
    latest_id: int | None = None
    distinct: int = 0
    before: Decimal = ZERO

    def with_latest(self, value: Decimal, at: datetime, arrival: int) -> "Sums":
        """Give the same with this value as the newest."""
        return replace(self, latest=value, latest_at=at, latest_id=arrival)

    def plus(self, other: "Sums") -> "Sums":
        """Add what other events of the same window add up to. Distinct values can't be added, and stay."""
        newest = max((self, other), key=lambda one: (one.latest_at or DAWN, one.latest_id or 0))
        return replace(
            newest,
            count=self.count + other.count,
            total=EXACT.add(self.total, other.total),
            weighted=EXACT.add(self.weighted, other.weighted),
            maximum=max((one for one in (self.maximum, other.maximum) if one is not None), default=None),
            minimum=min((one for one in (self.minimum, other.minimum) if one is not None), default=None),
            checksum=self.checksum ^ other.checksum,
            distinct=self.distinct,
            before=self.before,
        )


def aggregate(aggregation: str, sums: Sums, start: datetime | None, end: datetime) -> Decimal:
    """Work out the quantity of [start, end) by the aggregation's name. A window without events gives 0.

    A weighted sum needs `start`: it is the time average over the window of a level that every value changes, beginning
    at `before`. Raises ValueError for an unknown aggregation.
    """
    match aggregation:
        case "count":
            return Decimal(sums.count)
        case "sum" | "sum_with_multiplier":
            return sums.total
        case "max":
            return sums.maximum if sums.maximum is not None else ZERO
        case "min":
            return sums.minimum if sums.minimum is not None else ZERO
        case "latest":
            return sums.latest if sums.latest is not None else ZERO
        case "unique_count":
            return Decimal(sums.distinct)
        case "average":
            return QUOTIENT.divide(sums.total, Decimal(sums.count)) if sums.count else ZERO
        case "weighted_sum":
            return weighted_average(sums, start, end)
    raise ValueError(f"unknown aggregation {aggregation!r}")


def weighted_average(sums: Sums, start: datetime | None, end: datetime) -> Decimal:
    """Average over [start, end) a level of `before` that changes by each value at its time: Σ v·(end − t) ÷ length."""
    if start is None or end <= start:
        return ZERO
    length = EXACT.subtract(epoch(end), epoch(start))
    gained = EXACT.subtract(EXACT.multiply(sums.total, epoch(end)), sums.weighted)
    return EXACT.add(sums.before, QUOTIENT.divide(gained, length))


def epoch(moment: datetime) -> Decimal:
    """Give the exact seconds since 1970, to the microsecond."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return Decimal(micros).scaleb(-6, context=EXACT)


def round_quantity(quantity: Decimal, function: str, places: int) -> Decimal:
    """Round as a feature says: "none", "round" (halves away from zero), "ceil" or "floor", to decimal places.

    Negative places round to tens, hundreds and so on.
    """
    if function == "none":
        return quantity
    step = Decimal(1).scaleb(-places)
    whole = EXACT.divide(quantity, step).to_integral_value(ROUNDINGS[function])
    return EXACT.multiply(whole, step)
