"""Usage that counts and that nobody is billed for: the customer has no subscription, or the plan lacks the feature."""

from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache
from django.db import connection

from catalog.models import Feature
from customers.models import Customer
from events.reasons import Reason
from events.sql import statement

MOST_PAIRS = 20_000  # of a customer and a feature
MOST_ROWS = 20
KEPT_S = 120


@dataclass(frozen=True)
class Unbilled:
    """Usage of a feature since the month began (UTC) that isn't billed, and why. `customer` is set where it is one."""

    reason: Reason
    feature: Feature
    customers: int
    events: int
    customer: Customer | None
    is_capped: bool


def unbilled(*, now: datetime, keep: bool = True) -> list[Unbilled]:
    """Group the month's usage that isn't billed, the most events first. Three queries; kept for two minutes.

    Paused subscriptions and trials aren't billed on purpose, and aren't in it.
    """
    kept: list[Unbilled] | None = cache.get("unbilled") if keep else None
    if kept is None:
        kept = _read(now)
        cache.set("unbilled", kept, KEPT_S)
    return kept


def _read(now: datetime) -> list[Unbilled]:
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    given: dict[str, datetime | int] = {"since": since, "now": now, "pairs": MOST_PAIRS, "rows": MOST_ROWS}
    with connection.cursor() as cursor:
        cursor.execute(statement("unbilled"), given)
        rows = cursor.fetchall()
    features = Feature.objects.in_bulk([feature for _, feature, *_ in rows])
    alone = [customer for _, _, customers, _, customer, _ in rows if customers == 1]
    customers_by_id = Customer.objects.in_bulk(alone)
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
