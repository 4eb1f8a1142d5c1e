"""List what a customer's live subscriptions grant at a moment, by feature, with the source of each grant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from catalog.models import Entitlement, EntitlementReset, Feature
from catalog.selectors import entitlements_by_version
from customers.models import PhaseKind, Subscription
from customers.subscriptions import get_phases_by_subscription


@dataclass(frozen=True, slots=True)
class GrantSource:
    """What one subscription grants of a feature, by its plan."""

    subscription: Subscription
    entitlement: Entitlement
    plan_name: str
    plan_id: str


@dataclass(slots=True)
class FeatureGrant:
    """A feature with all its sources. Their limits add up; one unlimited source makes the grant unlimited."""

    feature: Feature
    sources: list[GrantSource] = field(default_factory=list)

    @property
    def limit(self) -> Decimal | None:
        limits = [source.entitlement.free_units for source in self.sources]
        return None if None in limits else sum((limit for limit in limits if limit is not None), Decimal(0))

    @property
    def reset(self) -> str:
        return self.sources[0].entitlement.reset if self.sources else EntitlementReset.PERIOD

    @property
    def is_enabled(self) -> bool:
        return any(source.entitlement.is_enabled for source in self.sources)

    @property
    def is_soft_limit(self) -> bool:
        return any(source.entitlement.is_soft_limit for source in self.sources)


def list_grants(subscriptions: Sequence[Subscription], *, now: datetime) -> list[FeatureGrant]:
    """List the features that the subscriptions grant at a moment, by name. Paused subscriptions grant nothing.

    Takes two queries.
    """
    phases = get_phases_by_subscription([subscription.pk for subscription in subscriptions])
    current_phases = [
        (subscription, phase)
        for subscription in subscriptions
        for phase in phases.get(subscription.pk, [])
        if phase.starts_at <= now and (phase.ends_at is None or now < phase.ends_at) and phase.kind != PhaseKind.PAUSED
    ]
    entitlements = entitlements_by_version(phase.plan_version for _, phase in current_phases)
    grants: dict[int, FeatureGrant] = {}
    for subscription, phase in current_phases:
        plan = phase.plan_version.plan
        for feature_id, entitlement in entitlements.get(phase.plan_version_id, {}).items():
            grant = grants.setdefault(feature_id, FeatureGrant(entitlement.feature))
            grant.sources.append(GrantSource(subscription, entitlement, plan.name, plan.public_id))
    return sorted(grants.values(), key=lambda grant: (grant.feature.name, grant.feature.pk))


def filter_grants(
    grants: Iterable[FeatureGrant], feature_ids: Sequence[str], feature_keys: Sequence[str] = ()
) -> list[FeatureGrant]:
    """Keep the grants of features with one of these public ids or keys, or all grants if there are none."""
    if not feature_ids and not feature_keys:
        return list(grants)
    return [grant for grant in grants if grant.feature.public_id in feature_ids or grant.feature.key in feature_keys]
