"""How features add up and when free units are granted again, for models and for code without Django."""

from config.enums import LabeledEnum


class Aggregation(LabeledEnum):
    COUNT = "count", "Count"
    SUM = "sum", "Sum"
    MAX = "max", "Max"
    MIN = "min", "Min"
    UNIQUE_COUNT = "unique_count", "Unique count"
    LATEST = "latest", "Latest"
    AVERAGE = "average", "Average"
    SUM_WITH_MULTIPLIER = "sum_with_multiplier", "Sum with multiplier"
    WEIGHTED_SUM = "weighted_sum", "Weighted sum (by time)"

    @property
    def is_numeric(self) -> bool:
        """Return whether events need a number in the aggregation field."""
        return self not in (Aggregation.COUNT, Aggregation.UNIQUE_COUNT)


class EntitlementReset(LabeledEnum):
    """When the free units are granted again."""

    PERIOD = "period", "Each billing period"
    DAILY = "daily", "Each day"
    WEEKLY = "weekly", "Each week"
    MONTHLY = "monthly", "Each month from the billing anchor"
    NEVER = "never", "Never: one allowance for the whole subscription"


class PackageRounding(LabeledEnum):
    UP = "up", "Up: a partly used package is charged"
    DOWN = "down", "Down: only full packages are charged"
