"""The API's names for the catalog's values."""

from catalog.models import Aggregation, EntitlementReset, IntervalUnit, Price, UsageReset
from catalog.models.plans import OfferKind
from catalog.models.prices import Cadence, PriceKind, PriceModel

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
# The API has no name for a reset with each billing period: null.
ENTITLEMENT_RESETS = {
    "MONTHLY": EntitlementReset.MONTHLY,
    "WEEKLY": EntitlementReset.WEEKLY,
    "DAILY": EntitlementReset.DAILY,
    "NEVER": EntitlementReset.NEVER,
}
OTHER_RESETS = ("ANNUAL", "QUARTERLY", "HALF_YEARLY")  # a billing period or longer: reset with each period
PRICE_KINDS = {"USAGE": PriceKind.USAGE, "FIXED": PriceKind.FIXED}
ENTITY_TYPES = {"PLAN": OfferKind.PLAN, "ADDON": OfferKind.ADDON}
CADENCES = {"ARREAR": Cadence.ARREARS, "ADVANCE": Cadence.ADVANCE}
RECURRING = "RECURRING"
STATUSES = {"active": "published", "archived": "archived"}


def billing_model_of(price: Price) -> str:
    """Return the API's name of a price's model; a tier's rates and the tier mode say the rest."""
    if price.is_tiered:
        return "TIERED"
    return {PriceModel.PACKAGE: "PACKAGE", PriceModel.PERCENTAGE: "PERCENTAGE"}.get(PriceModel(price.model), "FLAT_FEE")
