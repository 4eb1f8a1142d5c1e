"""Usage that two subscriptions of a customer charge: both count the same events."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from billing.charges.subscription import BilledSubscription
from billing.invoicing.subscriptions import load_terms
from billing.invoicing.upcoming import Upcoming, upcoming_many
from billing.kinds import LineKind
from billing.money import ZERO, format_amount, money
from catalog.models import Feature
from customers.kinds import PhaseKind
from customers.models import Subscription
from customers.periods import Period
from customers.subscriptions.phases import get_phases_by_subscription


@dataclass(frozen=True, slots=True)
class SubscriptionCharge:
    """What a subscription charges for a feature on its upcoming invoice, by usage so far."""

    subscription: Subscription
    plan: str
    amount: Decimal

    def __str__(self) -> str:
        return f"{self.plan} ({self.subscription.key or self.subscription.public_id})"


@dataclass(frozen=True, slots=True)
class DoubleCharge:
    """A feature that several subscriptions of a customer charge at the same time, now or later."""

    feature: Feature
    charges: Sequence[SubscriptionCharge]

    def __str__(self) -> str:
        parts = [f"{format_amount(row.amount, row.subscription.currency)} by {row}" for row in self.charges]
        return f"The same usage of {self.feature.name} is charged twice. Upcoming invoices so far: {', '.join(parts)}."


def double_charges(
    customer_id: int, *, now: datetime, upcoming: Mapping[int, Upcoming] | None = None
) -> list[DoubleCharge]:
    """List the usage that is charged more than once from now on, by feature.

    `upcoming` saves reading those subscriptions and calculating their upcoming invoices again.
    """
    running = Subscription.objects.filter(Q(ended_at=None) | Q(ended_at__gt=now), customer=customer_id)
    subscriptions = {row.pk: row for row in running.order_by("started_at", "pk")}
    if len(subscriptions) < 2:
        return []
    known = {pk: coming for pk, coming in (upcoming or {}).items() if pk in subscriptions}
    terms_by_id = {pk: coming.subscription for pk, coming in known.items()}
    if unread := subscriptions.keys() - known.keys():
        terms_by_id |= load_terms(unread)
    windows: dict[int, list[tuple[int, Period]]] = defaultdict(list)
    for pk, terms in terms_by_id.items():
        for feature_id, window in _charged(terms, now):
            windows[feature_id].append((pk, window))
    by_feature = {feature_id: ids for feature_id, rows in windows.items() if (ids := _overlapping(rows))}
    if not by_feature:
        return []
    ids = set().union(*by_feature.values())
    if missing := ids - known.keys():
        known |= upcoming_many(missing, now=now)
    features = Feature.objects.in_bulk(by_feature)
    plans = {pk: phases[-1].plan_version.plan.name for pk, phases in get_phases_by_subscription(ids).items()}
    return [
        DoubleCharge(
            features[feature_id],
            [
                SubscriptionCharge(row, plans[pk], _amount(known[pk], feature_id))
                for pk, row in subscriptions.items()
                if pk in by_feature[feature_id]
            ],
        )
        for feature_id in sorted(by_feature, key=lambda pk: features[pk].name)
    ]


def _charged(subscription: BilledSubscription, now: datetime) -> list[tuple[int, Period]]:
    """List the features that a subscription charges, each with a time from now on."""
    end = datetime.max.replace(tzinfo=now.tzinfo)
    return [
        (price.feature.id, window)
        for phase, window in subscription.windows(Period(now, end), PhaseKind.ACTIVE)
        for price in subscription.plans[phase.version_id].usage
    ]


def _overlapping(rows: Sequence[tuple[int, Period]]) -> set[int]:
    """Return the subscriptions that charge a feature while another one does."""
    return {pk for pk, window in rows for other, period in rows if pk != other and window.overlaps(period)}


def _amount(coming: Upcoming, feature_id: int) -> Decimal:
    if coming.invoice is None:
        return ZERO
    lines = coming.invoice.lines
    return sum((line.amount for line in lines if line.kind == LineKind.USAGE and line.feature_id == feature_id), ZERO)


def warn_of_double_charges(subscription: Subscription, /, *, now: datetime) -> list[dict[str, Any]]:
    """Describe, for the API, the usage that this subscription and another one charge."""
    return [
        {
            "code": "usage_charged_twice",
            "message": str(double),
            "feature_id": double.feature.public_id,
            "charges": [
                {
                    "subscription_id": row.subscription.public_id,
                    "amount": money(row.amount, row.subscription.currency),
                    "currency": row.subscription.currency,
                }
                for row in double.charges
            ],
        }
        for double in double_charges(subscription.customer_id, now=now)
        if subscription in [row.subscription for row in double.charges]
    ]
