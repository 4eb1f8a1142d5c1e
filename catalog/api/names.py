"""What clients of the API call things, and what we call them. The one place of the catalog's translations."""

from catalog.models import Aggregation, EntitlementReset, IntervalUnit, UsageReset
from catalog.models.prices import Cadence, PriceKind

AGGREGATIONS = {
    "COUNT": Aggregation.COUNT,
    "SUM": Aggregation.SUM,
    "AVG": Aggregation.AVERAGE,
    "COUNT_UNIQUE": Aggregation.UNIQUE_COUNT,
    "LATEST": Aggregation.LATEST,
    "SUM_WITH_MULTIPLIER": Aggregation.SUM_WITH_MULTIPLIER,
    "MAX": Aggregation.MAX,
    "WEIGHTED_SUM": Aggregation.WEIGHTED_SUM,
    "MIN": Aggregation.MIN,
}
RESETS = {"BILLING_PERIOD": UsageReset.PERIODIC, "NEVER": UsageReset.CUMULATIVE}
PERIODS = {
    "MONTHLY": IntervalUnit.MONTH,
    "ANNUAL": IntervalUnit.YEAR,
    "WEEKLY": IntervalUnit.WEEK,
    "DAILY": IntervalUnit.DAY,
    "QUARTERLY": IntervalUnit.QUARTER,
    "HALF_YEARLY": IntervalUnit.HALF_YEAR,
}
# A limit for each billing period has no name of its own there: null.
ENTITLEMENT_RESETS = {
    "MONTHLY": EntitlementReset.MONTHLY,
    "WEEKLY": EntitlementReset.WEEKLY,
    "DAILY": EntitlementReset.DAILY,
    "NEVER": EntitlementReset.NEVER,
}
OTHER_RESETS = ("ANNUAL", "QUARTERLY", "HALF_YEARLY")  # as long as a billing period at least: once each period
PRICE_KINDS = {"USAGE": PriceKind.USAGE, "FIXED": PriceKind.FIXED}
CADENCES = {"ARREAR": Cadence.ARREARS, "ADVANCE": Cadence.ADVANCE}
RECURRING = "RECURRING"
STATUSES = {"active": "published", "archived": "archived"}


def name_of[Ours](names: dict[str, Ours], ours: object) -> str | None:
    """Return what clients call one of ours; None where they have no name for it."""
    return next((name for name, value in names.items() if value == ours), None)
