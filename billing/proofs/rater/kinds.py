"""The kinds that questions name. A kind that the rater doesn't know is an error, and nothing is calculated."""

from enum import StrEnum


class Aggregation(StrEnum):
    """How a feature's events add up."""

    COUNT = "count"
    SUM = "sum"
    SUM_WITH_MULTIPLIER = "sum_with_multiplier"
    WEIGHTED_SUM = "weighted_sum"
    MAX = "max"
    MIN = "min"
    LATEST = "latest"
    AVERAGE = "average"
    UNIQUE_COUNT = "unique_count"


class Rounding(StrEnum):
    """How a number is rounded; by default halves away from zero."""

    NONE = "none"
    HALF_UP = "half_up"
    CEIL = "ceil"
    FLOOR = "floor"


class Model(StrEnum):
    """How a price turns a quantity into an amount."""

    PER_UNIT = "per_unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"
    FLAT = "flat"
    PERCENTAGE = "percentage"
    GRADUATED_PERCENTAGE = "graduated_percentage"


class Reset(StrEnum):
    """When free units begin again."""

    PERIOD = "period"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    NEVER = "never"


class PhaseKind(StrEnum):
    """What a subscription is in for some time."""

    TRIAL = "trial"
    ACTIVE = "active"
    PAUSED = "paused"


class Unit(StrEnum):
    """A unit of billing intervals."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


class ChargeKind(StrEnum):
    """What a line of an invoice charges."""

    FEE = "fee"
    PRORATION = "proration"
    USAGE = "usage"
    TRUE_UP = "true_up"
    LATE_USAGE = "late_usage"
    COMMITMENT = "commitment"
    CREDIT = "credit"
    ITEM = "item"


class CommitmentKind(StrEnum):
    """When a commitment is invoiced: a shortfall at the end, a prepayment at the start, or only what is above it."""

    MINIMUM = "minimum"
    PREPAID = "prepaid"
    THRESHOLD = "threshold"


class CommitmentPart(StrEnum):
    """What a line of a commitment charges."""

    PREPAYMENT = "prepayment"
    DRAWDOWN = "drawdown"
    OVERAGE = "overage"
    TRUE_UP = "true_up"


class Scope(StrEnum):
    """Which charges a coupon reduces."""

    EVERYTHING = "everything"
    FEES = "fees"
    USAGE = "usage"
    CHOSEN = "chosen"
