"""The usage of a subscription's current period by feature: in total, by day, and against its free units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.invoicing.upcoming import Upcoming, upcoming_many
from billing.kinds import LineKind
from billing.money import ZERO
from catalog.models import Aggregation, Entitlement, Feature
from customers.grants import FeatureGrant, list_grants
from customers.models import Subscription
from customers.periods import Period
from events.usage.windows import SIZES, MeteredWindow, MeterRequest, meter_many

MOST_BARS = 62
# Their totals can't be read from hours and days, only from the events.
FROM_EVENTS = (Aggregation.UNIQUE_COUNT,)


@dataclass(slots=True)
class FeatureUsage:
    """A feature's usage in the current period. `free_units` is None without a free tier or with an unlimited one."""

    feature: Feature
    quantity: Decimal = ZERO
    free_units: Decimal | None = None
    is_unlimited: bool = False
    amount: Decimal = ZERO
    windows: Sequence[tuple[Period, Decimal]] = ()

    @property
    def percent(self) -> int | None:
        """How much of the free units is used, in percent: 100 once the rest is paid, None without free units."""
        return max(0, min(int(self.quantity * 100 / self.free_units), 100)) if self.free_units else None

    @property
    def values(self) -> list[Decimal]:
        return [value for _, value in self.windows]


@dataclass(slots=True)
class SubscriptionUsage:
    """A running subscription with its upcoming invoice, and its usage by feature, by name."""

    subscription: Subscription
    upcoming: Upcoming
    features: list[FeatureUsage] = field(default_factory=list)
    size: str = "DAY"


def usage_of_subscriptions(subscriptions: Sequence[Subscription], *, now: datetime) -> list[SubscriptionUsage]:
    """Calculate the usage that the subscriptions' upcoming invoices hold, with bars for each day, or longer windows.

    A feature without usage is listed if it has free units. Features counted by distinct values have no bars.
    """
    upcoming_by_id = upcoming_many([subscription.pk for subscription in subscriptions], now=now)
    usages = [SubscriptionUsage(row, upcoming_by_id[row.pk]) for row in subscriptions]
    grants = list_grants(subscriptions, now=now)
    for usage in usages:
        usage.features = _features_of(usage, grants)
        _add_windows(usage, now=now)
    return usages


def _features_of(usage: SubscriptionUsage, grants: Sequence[FeatureGrant]) -> list[FeatureUsage]:
    by_feature = {
        grant.feature.pk: _granted(source.entitlement)
        for grant in grants
        for source in grant.sources
        if source.subscription.pk == usage.subscription.pk and source.entitlement.is_enabled
    }
    lines = usage.upcoming.invoice.lines if usage.upcoming.invoice else []
    charges = [line for line in lines if line.kind == LineKind.USAGE and line.feature_id is not None]
    features = Feature.objects.in_bulk({line.feature_id for line in charges if line.feature_id})
    for line in charges:
        row = by_feature.setdefault(line.feature_id or 0, FeatureUsage(features[line.feature_id or 0]))
        row.quantity += line.quantity
        row.amount += line.amount
    rows = [row for row in by_feature.values() if row.feature.event_name]
    return sorted(rows, key=lambda row: (row.feature.name, row.feature.pk))


def _granted(entitlement: Entitlement) -> FeatureUsage:
    free_units = entitlement.free_units
    return FeatureUsage(entitlement.feature, free_units=free_units, is_unlimited=free_units is None)


def _add_windows(usage: SubscriptionUsage, *, now: datetime) -> None:
    period = usage.upcoming.period
    metered = [row for row in usage.features if row.feature.aggregation not in FROM_EVENTS]
    if period is None or not metered or period.start >= now:
        return
    until = Period(period.start, min(period.end, now))
    length = until.end - until.start
    usage.size = next((size for size in ("DAY", "WEEK") if length / SIZES[size][2] <= MOST_BARS), "MONTH")
    request = MeterRequest(usage.subscription.customer, until, usage.size, usage.subscription.timezone)
    for row, window in zip(metered, meter_many([row.feature for row in metered], request), strict=True):
        row.windows = _values(window)


def _values(window: MeteredWindow) -> list[tuple[Period, Decimal]]:
    return [(period, quantity.value) for period, quantity in window.windows]
