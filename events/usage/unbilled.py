"""Counted usage that isn't billed, because the customer has no subscription or the plan doesn't have the feature."""

from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache
from django.db import connection

from catalog.models import Feature
from customers.models import Customer
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
    groups: list[Unbilled] | None = cache.get("unbilled") if keep else None
    if groups is None:
        groups = _read(now)
        cache.set("unbilled", groups, CACHED_S)
    return groups


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
