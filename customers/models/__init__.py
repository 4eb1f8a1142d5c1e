"""Who is billed: customers, their subscriptions, and the dated phases of each subscription."""

from customers.kinds import PhaseKind, TaxTreatment
from customers.models.customers import Customer, CustomerAlias, CustomerQuerySet, CustomerState
from customers.models.subscriptions import (
    Alignment,
    Subscription,
    SubscriptionPhase,
    SubscriptionQuerySet,
    SubscriptionStatus,
    TimestampRange,
)

Period = TimestampRange  # migrations know it by this name

__all__ = [
    "Alignment",
    "Customer",
    "CustomerAlias",
    "CustomerQuerySet",
    "CustomerState",
    "Period",
    "PhaseKind",
    "Subscription",
    "SubscriptionPhase",
    "SubscriptionQuerySet",
    "SubscriptionStatus",
    "TaxTreatment",
    "TimestampRange",
]
