"""Customers, their subscriptions, and the dated phases of each subscription."""

from customers.kinds import CommitmentKind, PhaseKind, TaxTreatment
from customers.models.addons import AddonStatus, SubscriptionAddon
from customers.models.commitments import Commitment
from customers.models.customers import Customer, CustomerAlias, CustomerQuerySet, CustomerState
from customers.models.subscriptions import (
    Subscription,
    SubscriptionPhase,
    SubscriptionQuerySet,
    SubscriptionStatus,
    TimestampRange,
)
from customers.periods import Alignment

Period = TimestampRange  # migrations import this name

__all__ = [
    "AddonStatus",
    "Alignment",
    "Commitment",
    "CommitmentKind",
    "Customer",
    "CustomerAlias",
    "CustomerQuerySet",
    "CustomerState",
    "Period",
    "PhaseKind",
    "Subscription",
    "SubscriptionAddon",
    "SubscriptionPhase",
    "SubscriptionQuerySet",
    "SubscriptionStatus",
    "TaxTreatment",
    "TimestampRange",
]
