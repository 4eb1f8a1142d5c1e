"""Usage that two subscriptions of a customer charge: both count the same events."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Q

from billing.charges.subscription import BilledSubscription
from billing.invoicing.subscriptions import load_terms
from billing.invoicing.upcoming import Upcoming, upcoming_many
from billing.kinds import LineKind
from billing.money import ZERO, format_amount, money
from catalog.by_value import counts_same_usage
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
    charged: dict[int, list[ChargedFeature]] = defaultdict(list)
    for terms in terms_by_id.values():
        for row in _charged(terms, now):
            charged[row.whole_id].append(row)
    several = {pk: rows for pk, rows in charged.items() if len({row.subscription_id for row in rows}) > 1}
    features = Feature.objects.in_bulk(several.keys() | {row.feature_id for rows in several.values() for row in rows})
    by_feature = {whole_id: shared for whole_id, rows in several.items() if (shared := _overlapping(rows, features))}
    if not by_feature:
        return []
    ids = set().union(*by_feature.values())
    if missing := ids - known.keys():
        known |= upcoming_many(missing, now=now)
    plans = {pk: phases[-1].plan_version.plan.name for pk, phases in get_phases_by_subscription(ids).items()}
    return [
        DoubleCharge(
            features[feature_id],
            [
                SubscriptionCharge(row, plans[pk], _amount(known[pk], by_feature[feature_id][pk]))
                for pk, row in subscriptions.items()
                if pk in by_feature[feature_id]
            ],
        )
        for feature_id in sorted(by_feature, key=lambda pk: features[pk].name)
    ]


class ChargedFeature(NamedTuple):
    """A feature that a subscription charges for a time. Of a variant, `whole_id` is the feature it is of."""

    subscription_id: int
    whole_id: int
    feature_id: int
    window: Period


def _charged(subscription: BilledSubscription, now: datetime) -> list[ChargedFeature]:
    """List the features that a subscription charges, each with a time from now on."""
    end = datetime.max.replace(tzinfo=now.tzinfo)
    return [
        ChargedFeature(subscription.subscription_id, price.feature.whole_id, price.feature.id, window)
        for phase, window in subscription.windows(Period(now, end), PhaseKind.ACTIVE)
        for price in subscription.plans[phase.version_id].usage
    ]


def _overlapping(rows: Sequence[ChargedFeature], features: Mapping[int, Feature]) -> dict[int, set[int]]:
    """Return the subscriptions that charge usage which another one charges, each with the features it charges so."""
    shared: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        for other in rows:
            is_other = row.subscription_id != other.subscription_id and row.window.overlaps(other.window)
            if is_other and counts_same_usage(features[row.feature_id], features[other.feature_id]):
                shared[row.subscription_id].add(row.feature_id)
    return shared


def _amount(coming: Upcoming, feature_ids: Collection[int]) -> Decimal:
    if coming.invoice is None:
        return ZERO
    lines = coming.invoice.lines
    return sum((line.amount for line in lines if line.kind == LineKind.USAGE and line.feature_id in feature_ids), ZERO)


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
