"""Counted usage that isn't billed, because the customer has no subscription or the plan doesn't have the feature."""

from dataclasses import dataclass
from datetime import datetime

from django.core.cache import caches
from django.db import connection
from django.db.models import Q, Sum

from catalog.models import Feature, Price
from customers.models import Customer, SubscriptionPhase
from events.models import UsageBucket
from events.reasons import Reason
from events.sql import statement

MOST_PAIRS = 20_000  # of customers and features
MOST_ROWS = 20
CACHED_S = 120


@dataclass(frozen=True)
class Unbilled:
    """Unbilled usage of a feature since the start of the month (UTC). `customer` is set if there is only one."""

    reason: Reason
    feature: Feature
    customers: int
    events: int
    customer: Customer | None
    is_capped: bool


def unbilled(*, now: datetime, keep: bool = True) -> list[Unbilled]:
    """Group the month's unbilled usage, most events first. Three queries; cached for two minutes.

    Doesn't include trials and paused subscriptions, which are unbilled on purpose.
    """
    groups: list[Unbilled] | None = caches["figures"].get("unbilled") if keep else None
    if groups is None:
        groups = _read(now)
        caches["figures"].set("unbilled", groups, CACHED_S)
    return groups


@dataclass(frozen=True)
class UnbilledFeature:
    """A customer's unbilled events of a feature since the start of the month (UTC)."""

    feature: Feature
    events: int
    is_subscribed: bool


def unbilled_features(customer: Customer, *, now: datetime) -> list[UnbilledFeature]:
    """List a customer's features with usage this month but no price in a plan that it had, most events first.

    Usage on a trial or pause isn't listed: it is unbilled on purpose. A feature with the price of certain values isn't
    listed, only the feature that counts all of them. Three queries, from hourly totals.
    """
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hours = UsageBucket.objects.filter(customer=customer, hour__gte=since, hour__lt=now).order_by()
    used = dict(hours.values_list("feature").annotate(events=Sum("count")))
    lived = SubscriptionPhase.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=since),
        subscription__customer=customer,
        superseded_at=None,
        starts_at__lte=now,
    )
    versions = list(lived.values_list("plan_version", flat=True))
    in_used = Q(feature__in=used) | Q(feature__variant_of__in=used)
    prices = Price.objects.filter(Q(version__in=versions) | Q(shared_by__version__in=versions), in_used)
    priced = {pk for pair in prices.values_list("feature", "feature__variant_of") for pk in pair}
    features = Feature.objects.filter(variant_of=None).in_bulk(used.keys() - priced)
    rows = [UnbilledFeature(feature, used[pk], bool(versions)) for pk, feature in features.items() if used[pk]]
    return sorted(rows, key=lambda row: (-row.events, row.feature.pk))


def _read(now: datetime) -> list[Unbilled]:
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    parameters: dict[str, datetime | int] = {"since": since, "now": now, "pairs": MOST_PAIRS, "rows": MOST_ROWS}
    with connection.cursor() as cursor:
        cursor.execute(statement("unbilled"), parameters)
        rows = cursor.fetchall()
    features = Feature.objects.in_bulk([feature for _, feature, *_ in rows])
    single = [customer for _, _, customers, _, customer, _ in rows if customers == 1]
    customers_by_id = Customer.objects.in_bulk(single)
    return [
        Unbilled(
            Reason.FEATURE_NOT_IN_PLAN if is_subscribed else Reason.NO_SUBSCRIPTION_AT_TIME,
            features[feature],
            customers,
            events,
            customers_by_id.get(a_customer) if customers == 1 else None,
            is_capped,
        )
        for is_subscribed, feature, customers, events, a_customer, is_capped in rows
    ]
