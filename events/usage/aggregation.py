"""Calculate quantities from the totals of usage. Pure functions, without database or clock."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

# Precise enough for any sum of values with thirty digits, so that adding and multiplying never round.
EXACT = Context(prec=200)
# Quotients may have endless digits: averages and weighted sums are rounded to this many.
QUOTIENT = Context(prec=50, rounding=ROUND_HALF_UP)
ZERO = Decimal(0)
DAWN = datetime(1, 1, 1, tzinfo=UTC)
ROUNDINGS = {"round": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}


@dataclass(frozen=True)
class Sums:
    """The totals of a window's counted events. `before` is the sum of all values before the window."""

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
        """Return the same totals with this value as the latest."""
        return replace(self, latest=value, latest_at=at, latest_id=arrival)

    def plus(self, other: "Sums") -> "Sums":
        """Add the totals of other events of the same window. Distinct values can't be added, and stay."""
        newest = max((self, other), key=lambda sums: (sums.latest_at or DAWN, sums.latest_id or 0))
        return replace(
            newest,
            count=self.count + other.count,
            total=EXACT.add(self.total, other.total),
            weighted=EXACT.add(self.weighted, other.weighted),
            maximum=max((value for value in (self.maximum, other.maximum) if value is not None), default=None),
            minimum=min((value for value in (self.minimum, other.minimum) if value is not None), default=None),
            checksum=self.checksum ^ other.checksum,
            distinct=self.distinct,
            before=self.before,
        )


def aggregate(aggregation: str, sums: Sums, start: datetime | None, end: datetime) -> Decimal:
    """Calculate the quantity of [start, end) by the aggregation's name; 0 for a window without events.

    A weighted sum needs `start`. Each value changes a level that starts at `before`; the weighted sum is the level's
    average over the window. Raises ValueError for an unknown aggregation.
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
    """Average over [start, end) a level that starts at `before` and changes by each value at its time.

    The average is before + Σ value × (end − time) ÷ length.
    """
    if start is None or end <= start:
        return ZERO
    length = EXACT.subtract(epoch(end), epoch(start))
    gained = EXACT.subtract(EXACT.multiply(sums.total, epoch(end)), sums.weighted)
    return EXACT.add(sums.before, QUOTIENT.divide(gained, length))


def epoch(moment: datetime) -> Decimal:
    """Return the exact seconds since 1970, to the microsecond."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return Decimal(micros).scaleb(-6, context=EXACT)


def round_quantity(quantity: Decimal, function: str, places: int) -> Decimal:
    """Round by a feature's rounding: "none", "round" (halves away from zero), "ceil" or "floor".

    Negative places round to tens, hundreds and so on.

    >>> round_quantity(Decimal("1250"), "round", -2)
    Decimal('1.3E+3')
    """
    if function == "none":
        return quantity
    step = Decimal(1).scaleb(-places)
    steps = EXACT.divide(quantity, step).to_integral_value(ROUNDINGS[function])
    return EXACT.multiply(steps, step)
