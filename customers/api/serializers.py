"""Customers, subscriptions and their entitlements in answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import CADENCES, ENTITLEMENT_RESETS, PERIODS, PRICE_KINDS, RECURRING
from catalog.api.serializers import FeatureOut, PriceOut, StatusField
from catalog.models import Price
from catalog.selectors import prices_by_version
from config.api.fields import (
    ComputedInteger,
    ComputedList,
    ComputedText,
    ConstantField,
    ConstantText,
    MetadataField,
    NamedChoiceField,
    QuantityField,
    name_of,
)
from customers.api.names import CYCLES
from customers.grants import FeatureGrant, GrantSource
from customers.models import PhaseKind, Subscription, SubscriptionPhase
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period, get_phases_by_subscription

STATUSES = ["scheduled", "trialing", "active", "paused", "cancelled"]


class CustomerOut(serializers.Serializer[Any]):
    """A customer: a person or company that you bill."""

    id = serializers.CharField(source="public_id")
    external_id = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    contact = serializers.CharField()
    billing_currency = serializers.CharField()
    timezone = serializers.CharField()
    tax_treatment = serializers.ChoiceField(["taxable", "exempt", "reverse_charge"])
    tax_note = serializers.CharField()
    address_line1 = serializers.CharField()
    address_line2 = serializers.CharField()
    address_city = serializers.CharField()
    address_state = serializers.CharField()
    address_postal_code = serializers.CharField()
    address_country = serializers.CharField()
    metadata = MetadataField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


@dataclass(frozen=True, slots=True)
class SubscribedPrice:
    """A price that a subscription currently pays, in the phase that holds it."""

    subscription: Subscription
    phase: SubscriptionPhase
    price: Price


class LineItemOut(serializers.Serializer[Any]):
    """A price that a subscription currently pays, and its dates."""

    id = ComputedText()
    subscription_id = serializers.CharField(source="subscription.public_id")
    price_id = serializers.CharField(source="price.public_id")
    price_type = NamedChoiceField(PRICE_KINDS, source="price.kind")
    entity_type = ConstantField("plan")
    entity_id = serializers.CharField(source="phase.plan_version.plan.public_id")
    plan_display_name = serializers.CharField(source="phase.plan_version.plan.name")
    display_name = serializers.CharField(source="price.label")
    meter_id = serializers.CharField(source="price.feature.public_id", allow_null=True)
    quantity = QuantityField(source="price.quantity")
    currency = serializers.CharField(source="price.currency")
    billing_period = NamedChoiceField(PERIODS, source="price.interval")
    billing_period_count = serializers.IntegerField(source="price.interval_count")
    invoice_cadence = NamedChoiceField(CADENCES, source="price.cadence")
    start_date = serializers.DateTimeField(source="phase.starts_at")
    end_date = serializers.DateTimeField(source="phase.ends_at", allow_null=True)
    price = PriceOut()
    status = ConstantField("published")

    def get_id(self, item: SubscribedPrice) -> str:
        return f"{item.subscription.public_id}:{item.price.public_id}"


class PlanBrief(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    lookup_key = serializers.CharField(source="key", allow_null=True)


class SubscriptionOut(serializers.Serializer[Any]):
    """A customer's subscription to a plan, with its current status."""

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    customer = CustomerOut()
    plan_id = serializers.CharField(source="now_plan.public_id", default=None, allow_null=True)
    plan = PlanBrief(source="now_plan", allow_null=True)
    plan_version = serializers.IntegerField(source="now_phase.plan_version.number", default=None, allow_null=True)
    subscription_status = serializers.ChoiceField(STATUSES, source="now_status")
    status = serializers.SerializerMethodField()
    lookup_key = serializers.CharField(source="key", allow_null=True)
    currency = serializers.CharField()
    billing_period = serializers.SerializerMethodField()
    billing_period_count = serializers.IntegerField(source="interval_count")
    billing_cadence = serializers.SerializerMethodField()
    billing_cycle = serializers.ChoiceField(list(CYCLES), source="alignment")
    billing_anchor = serializers.DateTimeField(source="anchor")
    timezone = serializers.CharField()
    start_date = serializers.DateTimeField(source="started_at")
    end_date = serializers.DateTimeField(source="ended_at", allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    cancel_at = serializers.SerializerMethodField()
    cancel_at_period_end = serializers.SerializerMethodField()
    current_period_start = serializers.DateTimeField(source="now_period.start", default=None, allow_null=True)
    current_period_end = serializers.DateTimeField(source="now_period.end", default=None, allow_null=True)
    trial_start = serializers.DateTimeField(source="now_trial.starts_at", default=None, allow_null=True)
    trial_end = serializers.DateTimeField(source="now_trial.ends_at", default=None, allow_null=True)
    pause_status = serializers.SerializerMethodField()
    proration_behavior = serializers.SerializerMethodField()
    metadata = MetadataField()
    line_items = LineItemOut(source="now_items", many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(["published"]))
    def get_status(self, subscription: Any) -> str:
        return "published"

    @extend_schema_field(serializers.ChoiceField(list(PERIODS)))
    def get_billing_period(self, subscription: Any) -> str | None:
        return name_of(PERIODS, subscription.interval)

    @extend_schema_field(serializers.ChoiceField([RECURRING]))
    def get_billing_cadence(self, subscription: Any) -> str:
        return RECURRING

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_cancel_at(self, subscription: Any) -> str | None:
        if subscription.cancelled_at is None or subscription.ended_at is None:
            return None
        return serializers.DateTimeField().to_representation(subscription.ended_at)

    def get_cancel_at_period_end(self, subscription: Any) -> bool:
        period = subscription.now_period
        return bool(subscription.cancelled_at and period and subscription.ended_at == period.end)

    @extend_schema_field(serializers.ChoiceField(["none", "active"]))
    def get_pause_status(self, subscription: Any) -> str:
        return "active" if subscription.now_status == "paused" else "none"

    @extend_schema_field(serializers.ChoiceField(["create_prorations", "none"]))
    def get_proration_behavior(self, subscription: Any) -> str:
        return "create_prorations" if subscription.prorate else "none"


def serialize_subscriptions(subscriptions: Iterable[Subscription], *, now: datetime) -> list[Any]:
    """Serialize subscriptions with their status at `now`: three queries, however many subscriptions."""
    rows: list[Any] = list(subscriptions)
    chains = get_phases_by_subscription([row.pk for row in rows])
    phases = {row.pk: phase_now(chains.get(row.pk, []), now) for row in rows}
    priced = prices_by_version({phase.plan_version_id for phase in phases.values() if phase})
    for row in rows:
        phase = phases[row.pk]
        row.now_phase, row.now_plan = phase, phase.plan_version.plan if phase else None
        row.now_status, row.now_period = status_of(row, phase, now), _period(row, now)
        row.now_trial = next((part for part in chains.get(row.pk, []) if part.kind == PhaseKind.TRIAL), None)
        row.now_items = _items(row, phase, priced.get(phase.plan_version_id, [])) if phase else []
    return list(SubscriptionOut(rows, many=True).data)


def phase_now(chain: Sequence[SubscriptionPhase], now: datetime) -> SubscriptionPhase | None:
    """Return the phase at `now`: the first phase before the start, the last phase after the end."""
    for phase in chain:
        if phase.ends_at is None or phase.ends_at > now:
            return phase
    return chain[-1] if chain else None


def status_of(subscription: Subscription, phase: SubscriptionPhase | None, now: datetime) -> str:
    ended = subscription.ended_at
    if ended is not None and (ended <= now or ended == subscription.started_at):
        return "cancelled"
    if subscription.started_at > now or phase is None:
        return "scheduled"
    return {PhaseKind.TRIAL: "trialing", PhaseKind.PAUSED: "paused"}.get(PhaseKind(phase.kind), "active")


def _period(subscription: Subscription, now: datetime) -> Period | None:
    try:
        return get_billing_period(subscription, now)
    except NoSuchPeriod:
        return None


def _items(subscription: Subscription, phase: SubscriptionPhase, prices: Iterable[Price]) -> list[SubscribedPrice]:
    terms = (subscription.currency, subscription.interval, subscription.interval_count)
    items = []
    for price in prices:
        if (price.currency, price.interval, price.interval_count) == terms:
            price.version = phase.plan_version
            items.append(SubscribedPrice(subscription, phase, price))
    return items


class GrantOut(serializers.Serializer[Any]):
    """The combined entitlement of all sources. A null `usage_limit` is unlimited."""

    is_enabled = serializers.BooleanField()
    is_soft_limit = serializers.BooleanField()
    usage_limit = ComputedInteger(allow_null=True)
    usage_reset_period = ComputedText(allow_null=True)
    static_values = ComputedList(child=serializers.CharField())

    def get_usage_limit(self, grant: FeatureGrant) -> int | None:
        return None if grant.limit is None else int(grant.limit)

    def get_usage_reset_period(self, grant: FeatureGrant) -> str | None:
        return name_of(ENTITLEMENT_RESETS, grant.reset)

    def get_static_values(self, grant: FeatureGrant) -> list[str]:
        return [source.entitlement.static_value for source in grant.sources if source.entitlement.static_value]


class SourceOut(serializers.Serializer[Any]):
    """The entitlement that one subscription's plan grants."""

    entitlement_id = serializers.CharField(source="entitlement.public_id")
    subscription_id = serializers.CharField(source="subscription.public_id")
    entity_type = ConstantText("plan")
    entity_id = serializers.CharField(source="plan_id")
    entity_name = serializers.CharField(source="plan_name")
    is_enabled = serializers.BooleanField(source="entitlement.is_enabled")
    usage_limit = ComputedInteger(allow_null=True)
    usage_reset_period = ComputedText(allow_null=True)
    static_value = serializers.CharField(source="entitlement.static_value")
    quantity = ComputedInteger()

    def get_usage_limit(self, source: GrantSource) -> int | None:
        units = source.entitlement.free_units
        return None if units is None else int(units)

    def get_usage_reset_period(self, source: GrantSource) -> str | None:
        return name_of(ENTITLEMENT_RESETS, source.entitlement.reset)

    def get_quantity(self, source: GrantSource) -> int:
        return 1


class GrantedFeature(serializers.Serializer[Any]):
    feature = FeatureOut()
    entitlement = GrantOut(source="*")
    sources = SourceOut(many=True)


class CustomerGrants(serializers.Serializer[Any]):
    """A customer's current entitlements from all live subscriptions."""

    customer_id = serializers.CharField(source="customer.public_id")
    features = GrantedFeature(many=True)


class SubscriptionGrants(serializers.Serializer[Any]):
    """A subscription's current entitlements."""

    subscription_id = serializers.CharField()
    plan_id = serializers.CharField(allow_null=True)
    features = GrantedFeature(many=True)


class PauseOut(serializers.Serializer[Any]):
    subscription = SubscriptionOut()


class CancelOut(serializers.Serializer[Any]):
    """The end of the subscription, and its status."""

    subscription_id = serializers.CharField()
    cancellation_type = serializers.CharField()
    effective_date = serializers.DateTimeField()
    processed_at = serializers.DateTimeField()
    status = serializers.ChoiceField(STATUSES)
    reason = serializers.CharField()
    message = serializers.CharField()
