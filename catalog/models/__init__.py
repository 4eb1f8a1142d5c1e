from catalog.kinds import Aggregation, EntitlementReset
from catalog.models.features import EventNameAlias, Feature, UsageReset
from catalog.models.plans import Addon, Entitlement, Plan, PlanVersion
from catalog.models.prices import IntervalUnit, Price, PriceTier, SharedPrice

__all__ = [
    "Addon",
    "Aggregation",
    "Entitlement",
    "EntitlementReset",
    "EventNameAlias",
    "Feature",
    "IntervalUnit",
    "Plan",
    "PlanVersion",
    "Price",
    "PriceTier",
    "SharedPrice",
    "UsageReset",
]
