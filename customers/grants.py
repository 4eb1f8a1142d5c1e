"""What a customer's live subscriptions grant now, feature by feature, with where each grant comes from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from catalog.models import Entitlement, EntitlementReset, Feature
from catalog.selectors import entitlements_by_version
from customers.models import PhaseKind, Subscription
from customers.subscriptions import get_phases_by_subscription


@dataclass(frozen=True, slots=True)
class Source:
    """One plan's grant, by one subscription."""

    subscription: Subscription
    entitlement: Entitlement
    plan_name: str
    plan_id: str


@dataclass(slots=True)
class FeatureGrant:
    """A feature with all its sources. Limits add up; one that is unlimited makes the whole so."""

    feature: Feature
    sources: list[Source] = field(default_factory=list)

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
    """List the features that the subscriptions grant at a moment, by name. Two queries. Paused ones grant nothing."""
    chains = get_phases_by_subscription([row.pk for row in subscriptions])
    held = [
        (row, phase)
        for row in subscriptions
        for phase in chains.get(row.pk, [])
        if phase.starts_at <= now and (phase.ends_at is None or now < phase.ends_at) and phase.kind != PhaseKind.PAUSED
    ]
    contents = entitlements_by_version({phase.plan_version_id for _, phase in held})
    found: dict[int, FeatureGrant] = {}
    for row, phase in held:
        plan = phase.plan_version.plan
        for feature_id, entitlement in contents.get(phase.plan_version_id, {}).items():
            mine = found.setdefault(feature_id, FeatureGrant(entitlement.feature))
            mine.sources.append(Source(row, entitlement, plan.name, plan.public_id))
    return sorted(found.values(), key=lambda one: (one.feature.name, one.feature.pk))


def filter_grants(grants: Iterable[FeatureGrant], feature_ids: Sequence[str]) -> list[FeatureGrant]:
    """Keep the features with these public ids; all of them when none is named."""
    return [one for one in grants if not feature_ids or one.feature.public_id in feature_ids]
