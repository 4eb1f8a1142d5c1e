"""A customer's usage together with its cost: by price, by feature or event property, and against entitlements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.charges.subscription_commitments import TermStatus
from billing.invoicing.commitment_progress import commitment_progress
from billing.invoicing.spending import Cost, calculate_costs
from billing.money import ZERO
from catalog.models import Feature, Price
from config.limits import MOST_POINTS, MOST_WINDOWS_OF_GROUPS
from customers.grants import FeatureGrant, filter_grants, list_grants
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period
from events.diagnosis.billing_facts import FreeTier, billing
from events.usage.meter import Quantity, UsageRequest, usage_many
from events.usage.search import TooManyGroups, usage_by
from events.usage.windows import MeterRequest, cut, features_used, meter_many

NOTHING = Quantity(ZERO, 0, 0)


@dataclass(frozen=True, slots=True)
class PriceUsage:
    """The quantity that one price rates, free units included, and its cost."""

    subscription: Subscription
    price: Price
    quantity: Decimal
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class SubscriptionUsage:
    """A subscription's usage in a window, and its cost; and the current term of its commitment, if it has one."""

    window: Period
    total: Decimal
    currency: str
    charges: Sequence[PriceUsage]
    commitment: TermStatus | None = None


def get_current_period(subscription: Subscription, now: datetime) -> Period:
    """Return the current billing period; an empty one at the start while there is none."""
    try:
        return get_billing_period(subscription, now)
    except NoSuchPeriod:
        return Period(subscription.started_at, subscription.started_at)


def calculate_subscription_usage(subscription: Subscription, window: Period, *, now: datetime) -> SubscriptionUsage:
    """Calculate a subscription's usage and its cost in a window."""
    costs = calculate_costs([subscription.pk], window)
    prices = Price.objects.select_related("feature").in_bulk([cost.price_id for cost in costs])
    charges = [
        PriceUsage(subscription, prices[cost.price_id], cost.quantity, cost.amount, cost.currency) for cost in costs
    ]
    commitment = commitment_progress(subscription.pk, now=now)
    return SubscriptionUsage(window, _sum_costs(costs), subscription.currency, charges, commitment)


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """The usage in one window."""

    period: Period
    usage: Quantity


@dataclass(frozen=True, slots=True)
class FeatureCost:
    """A customer's usage of a feature, and its cost if there is one: in one currency, for all of the usage."""

    feature: Feature
    customer: Customer
    usage: Quantity
    cost: Decimal | None = None
    currency: str | None = None
    windows: Sequence[WindowUsage] = ()


@dataclass(frozen=True, slots=True)
class GroupUsage(FeatureCost):
    """The usage of a source's events, or of those with these property values.

    A group has no cost: tiers price the feature's total.
    """

    properties: dict[str, str] | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """What each feature's usage is split by: values of properties, the source of the events, or both."""

    properties: Sequence[str] = ()
    by_source: bool = False


@dataclass(frozen=True, slots=True)
class UsageAnalytics:
    items: Sequence[FeatureCost]
    total_cost: Decimal | None = None
    currency: str | None = None


def calculate_usage_analytics(usage: MeterRequest, feature_ids: Sequence[str], grouping: Grouping) -> UsageAnalytics:
    """Calculate a customer's usage and cost by feature; with a grouping, the usage by group instead.

    Without feature ids, all features that the customer used. Raises TooManyGroups if the answer would be too long.
    """
    if feature_ids:
        rows = Feature.objects.metered().filter(public_id__in=feature_ids)
    else:
        rows = Feature.objects.filter(pk__in=features_used(usage.customer.pk, usage.period))
    features = list(rows.order_by("name", "pk"))
    if grouping.properties or grouping.by_source:
        return UsageAnalytics(_list_all_groups(features, usage, grouping))
    return _calculate_by_feature(features, usage)


def _calculate_by_feature(features: Sequence[Feature], usage: MeterRequest) -> UsageAnalytics:
    subscription_ids = _list_subscription_ids(usage.customer, usage.period)
    costs = [] if usage.search else calculate_costs(subscription_ids, usage.period)
    currencies = {cost.currency for cost in costs}
    currency = currencies.pop() if len(currencies) == 1 else None
    items = []
    for feature, metered in zip(features, meter_many(features, usage), strict=True):
        cost = _sum_costs([cost for cost in costs if cost.feature_id == feature.pk]) if currency else None
        windows = [WindowUsage(period, quantity) for period, quantity in metered.windows]
        items.append(FeatureCost(feature, usage.customer, metered.total, cost, currency, windows))
    return UsageAnalytics(items, _sum_costs(costs) if currency else None, currency)


def _list_subscription_ids(customer: Customer, period: Period) -> list[int]:
    rows = Subscription.objects.filter(customer=customer, started_at__lt=period.end)
    return [row.pk for row in rows if row.ended_at is None or row.ended_at > period.start]


def _list_all_groups(features: Sequence[Feature], usage: MeterRequest, grouping: Grouping) -> list[GroupUsage]:
    windows = len(cut(usage))
    if windows * len(features) > MOST_WINDOWS_OF_GROUPS:
        raise TooManyGroups(
            f"Grouped usage has at most {MOST_WINDOWS_OF_GROUPS:,} windows over all features. "
            "Choose larger windows, a shorter time, or fewer features."
        )
    groups: list[GroupUsage] = []
    for feature in features:
        groups += _list_groups(feature, usage, grouping)
        if len(groups) * windows > MOST_POINTS:
            raise TooManyGroups(
                f"There are more than {MOST_POINTS:,} points: one for each group and window. "
                "Choose larger windows, a shorter time, or fewer groups."
            )
    return groups


def _list_groups(feature: Feature, usage: MeterRequest, grouping: Grouping) -> list[GroupUsage]:
    windows = [(window, _usage_by_group(feature, usage, window, grouping)) for window in cut(usage)]
    groups = []
    for key, quantity in _usage_by_group(feature, usage, usage.period, grouping).items():
        source, values = (key[0], key[1:]) if grouping.by_source else (None, key)
        properties = dict(zip(grouping.properties, [value or "" for value in values], strict=True))
        points = [WindowUsage(window, by_key.get(key, NOTHING)) for window, by_key in windows]
        groups.append(
            GroupUsage(feature, usage.customer, quantity, windows=points, properties=properties, source=source)
        )
    return groups


def _usage_by_group(
    feature: Feature, usage: MeterRequest, window: Period, grouping: Grouping
) -> dict[tuple[str | None, ...], Quantity]:
    return usage_by(
        usage.customer.pk,
        feature,
        window.start,
        window.end,
        properties=grouping.properties,
        by_source=grouping.by_source,
        search=usage.search,
    )


def _sum_costs(costs: Sequence[Cost]) -> Decimal:
    return sum((cost.amount for cost in costs), ZERO)


@dataclass(frozen=True, slots=True)
class GrantUsage:
    """The usage of a granted feature, and when it is reset."""

    grant: FeatureGrant
    used: Decimal = ZERO
    reset_at: datetime | None = None

    @property
    def percent(self) -> Decimal | None:
        limit = self.grant.limit
        return round(self.used * 100 / limit, 2) if limit else None


@dataclass(frozen=True, slots=True)
class CustomerUsage:
    """A customer's usage of its entitlements. `period` is that of the first live subscription."""

    customer: Customer
    period: Period | None
    features: Sequence[GrantUsage]


def calculate_customer_usage(
    customer: Customer,
    feature_ids: Sequence[str],
    *,
    now: datetime,
    feature_keys: Sequence[str] = (),
    subscription_ids: Sequence[str] = (),
) -> CustomerUsage:
    """Calculate what a customer has used of its entitlements in the current billing periods.

    Features and subscriptions can be limited to these public ids and keys; without any, all of them are included.
    """
    subscriptions = Subscription.objects.filter(customer=customer)
    if subscription_ids:
        subscriptions = subscriptions.filter(public_id__in=subscription_ids)
    live = list(subscriptions.live(now).order_by("started_at", "pk"))
    grants = filter_grants(list_grants(live, now=now), feature_ids, feature_keys)
    period = get_billing_period(live[0], now) if live else None
    return CustomerUsage(customer, period, _calculate_grant_usage(customer, grants, now))


def _calculate_grant_usage(customer: Customer, grants: Sequence[FeatureGrant], now: datetime) -> list[GrantUsage]:
    """Calculate the usage of each grant. The number of queries only grows with the subscriptions."""
    metered: dict[Subscription, list[Feature]] = {}
    for grant in grants:
        if grant.feature.event_name:
            metered.setdefault(grant.sources[0].subscription, []).append(grant.feature)
    tiers: dict[int, FreeTier | None] = {}
    for subscription, features in metered.items():
        ids = [feature.pk for feature in features]
        facts = billing().facts(subscription_id=subscription.pk, feature_ids=ids, at=now, now=now)
        tiers |= {pk: fact.free_tier for pk, fact in facts.items()}
    windows = {
        feature.pk: get_billing_period(subscription, now)
        for subscription, features in metered.items()
        for feature in features
    }
    requests = [UsageRequest(customer.pk, pk, window.start, window.end) for pk, window in windows.items()]
    usage = dict(zip(windows, usage_many(requests), strict=True))
    rows = []
    for grant in grants:
        pk, tier = grant.feature.pk, tiers.get(grant.feature.pk)
        if pk not in windows:
            rows.append(GrantUsage(grant))
        elif tier is not None:
            rows.append(GrantUsage(grant, tier.used, tier.window.end))
        else:
            rows.append(GrantUsage(grant, usage[pk].value, windows[pk].end))
    return rows
