"""Subscriptions, with their status and the prices they pay, in answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import F, prefetch_related_objects
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import CADENCES, PERIODS, PRICE_KINDS, RECURRING
from catalog.api.serializers.plans import PlanOut
from catalog.api.serializers.prices import PriceOut
from catalog.models import Price
from catalog.selectors import prices_by_version
from config.api.contract import ContractAnswer, ContractRecord
from config.api.fields import (
    ComputedChoice,
    ComputedText,
    ConstantField,
    ExactField,
    MetadataField,
    NamedChoiceField,
    QuantityField,
    name_of,
    plain,
)
from customers.api.commitments import cadence_of, duration_of
from customers.api.names import CYCLES
from customers.api.serializers.customers import CustomerOut
from customers.kinds import CommitmentKind
from customers.models import PhaseKind, Subscription, SubscriptionPhase
from customers.periods import NoSuchPeriod, Period, period_containing
from customers.subscriptions import (
    get_billing_period,
    get_current_commitments,
    get_phases_by_subscription,
    get_schedule,
)

STATUSES = ["scheduled", "trialing", "active", "paused", "cancelled"]


@dataclass(frozen=True, slots=True)
class SubscribedPrice:
    """A price that a subscription currently pays, in the phase that holds it."""

    subscription: Subscription
    phase: SubscriptionPhase
    price: Price

    @property
    def list_price_id(self) -> str:
        """Return the id of the list price: the price's own, or that of the list price which it replaces."""
        return self.price.public_id if self.price.listed is None else self.price.listed.public_id


class LineItemOut(ContractRecord):
    """A price that a subscription pays, and its dates. `price.parent_price_id` is the list price of an agreed one."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("addon_association_id", "commitment_duration", "commitment_overage_factor"),
        *(
            "commitment_time_buckets",
            "commitment_windowed",
            "created_at",
            "metadata",
            "meter",
            "price_unit",
            "price_unit_id",
        ),
        *("subscription_phase_id", "trial_period", "updated_at"),
    )

    id = ComputedText()
    subscription_id = serializers.CharField(source="subscription.public_id")
    customer_id = serializers.CharField(source="subscription.customer.public_id")
    price_id = serializers.CharField(source="price.public_id")
    price_type = NamedChoiceField(PRICE_KINDS, source="price.kind")
    entity_type = serializers.SerializerMethodField()
    entity_id = serializers.SerializerMethodField()
    plan_display_name = serializers.CharField(source="phase.plan_version.plan.name")
    display_name = serializers.CharField(source="price.label")
    meter_id = serializers.CharField(source="price.feature.public_id", allow_null=True)
    meter_display_name = serializers.CharField(source="price.feature.name", allow_null=True)
    quantity = QuantityField(source="price.quantity")
    commitment_amount = ExactField(source="price.minimum_amount", allow_null=True)
    commitment_quantity = ExactField(source="price.minimum_quantity", allow_null=True)
    commitment_type = serializers.SerializerMethodField()
    commitment_true_up_enabled = serializers.SerializerMethodField()
    currency = serializers.CharField(source="price.currency")
    billing_period = NamedChoiceField(PERIODS, source="price.every.unit")
    billing_period_count = serializers.IntegerField(source="price.every.number")
    invoice_cadence = NamedChoiceField(CADENCES, source="price.cadence")
    start_date = serializers.DateTimeField(source="phase.starts_at")
    end_date = serializers.DateTimeField(source="phase.ends_at", allow_null=True)
    price = PriceOut()
    status = ConstantField("published")

    def get_id(self, item: SubscribedPrice) -> str:
        return f"{item.subscription.public_id}:{item.price.public_id}"

    @extend_schema_field(serializers.ChoiceField(["plan", "subscription", "addon"]))
    def get_entity_type(self, item: SubscribedPrice) -> str:
        if item.price.offer.is_addon:
            return "addon"
        return "subscription" if item.price.version.base_id else "plan"

    def get_entity_id(self, item: SubscribedPrice) -> str:
        if item.price.version.base_id and not item.price.offer.is_addon:
            return item.subscription.public_id
        return item.price.offer.public_id

    @extend_schema_field(serializers.ChoiceField(["amount", "quantity"], allow_null=True))
    def get_commitment_type(self, item: SubscribedPrice) -> str | None:
        if item.price.minimum_quantity is not None:
            return "quantity"
        return None if item.price.minimum_amount is None else "amount"

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_commitment_true_up_enabled(self, item: SubscribedPrice) -> bool | None:
        return None if self.get_commitment_type(item) is None else True


class PlanBrief(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    lookup_key = serializers.CharField(source="key", allow_null=True)
    description = serializers.CharField()


class SubscriptionOut(ContractRecord):
    """A customer's subscription to a plan, with its current status."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("active_pause_id", "auto_invoice_threshold", "checkout_session", "collection_method"),
        *("coupon_associations", "credit_grants", "entitlements"),
        *("gateway_payment_method_id", "latest_invoice", "line_item_grouping"),
        *("parent_subscription_id", "pauses", "payment_behavior", "phases", "synced_price_sequence", "version"),
    )

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    customer = CustomerOut()
    invoicing_customer_id = ComputedText()
    plan_id = serializers.CharField(source="now_plan.public_id", default=None, allow_null=True)
    plan = PlanOut(source="now_plan", allow_null=True)
    plan_version = serializers.IntegerField(source="now_phase.plan_version.number", default=None, allow_null=True)
    subscription_type = ComputedChoice(["standalone", "delegated_invoicing"])
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
    customer_timezone = serializers.CharField(source="customer.timezone")
    start_date = serializers.DateTimeField(source="started_at")
    end_date = serializers.DateTimeField(source="ended_at", allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    cancel_at = serializers.SerializerMethodField()
    cancel_at_period_end = serializers.BooleanField(source="now_ends_with_period")
    current_period_start = serializers.DateTimeField(source="now_period.start", default=None, allow_null=True)
    current_period_end = serializers.DateTimeField(source="now_period.end", default=None, allow_null=True)
    trial_start = serializers.DateTimeField(source="now_trial.starts_at", default=None, allow_null=True)
    trial_end = serializers.DateTimeField(source="now_trial.ends_at", default=None, allow_null=True)
    pause_status = serializers.SerializerMethodField()
    proration_behavior = serializers.SerializerMethodField()
    payment_terms = ComputedText(allow_null=True)
    commitment_amount = ComputedText(allow_null=True)
    commitment_duration = serializers.SerializerMethodField()
    commitment_invoice_cadence = serializers.SerializerMethodField()
    enable_true_up = serializers.SerializerMethodField()
    overage_factor = ComputedText(allow_null=True)
    metadata = MetadataField()
    line_items = LineItemOut(source="now_items", many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_invoicing_customer_id(self, subscription: Any) -> str:
        customer = subscription.customer
        return str((customer.parent or customer).public_id)

    def get_subscription_type(self, subscription: Any) -> str:
        return "standalone" if subscription.customer.parent is None else "delegated_invoicing"

    def get_payment_terms(self, subscription: Any) -> str | None:
        return None if subscription.net_days is None else f"{subscription.net_days} NET"

    def get_commitment_amount(self, subscription: Any) -> str | None:
        return None if subscription.now_commitment is None else plain(subscription.now_commitment.amount)

    @extend_schema_field(serializers.ChoiceField(list(PERIODS), allow_null=True))
    def get_commitment_duration(self, subscription: Any) -> str | None:
        return None if subscription.now_commitment is None else duration_of(subscription.now_commitment)

    @extend_schema_field(serializers.ChoiceField(list(CADENCES), allow_null=True))
    def get_commitment_invoice_cadence(self, subscription: Any) -> str | None:
        return None if subscription.now_commitment is None else cadence_of(subscription.now_commitment)

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_enable_true_up(self, subscription: Any) -> bool | None:
        commitment = subscription.now_commitment
        return None if commitment is None else commitment.kind == CommitmentKind.MINIMUM

    def get_overage_factor(self, subscription: Any) -> str | None:
        return None if subscription.now_commitment is None else plain(subscription.now_commitment.overage_factor)

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

    @extend_schema_field(serializers.ChoiceField(["none", "active"]))
    def get_pause_status(self, subscription: Any) -> str:
        return "active" if subscription.now_status == "paused" else "none"

    @extend_schema_field(serializers.ChoiceField(["create_prorations", "none"]))
    def get_proration_behavior(self, subscription: Any) -> str:
        return "create_prorations" if subscription.prorate else "none"


class SubscriptionChargeOut(serializers.Serializer[Any]):
    """What a subscription charges for the usage on its upcoming invoice so far."""

    subscription_id = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()


class SubscriptionWarningOut(serializers.Serializer[Any]):
    """The same usage is charged by this subscription and another one of the customer, at the same time."""

    code = ConstantField("usage_charged_twice")
    message = serializers.CharField()
    feature_id = serializers.CharField()
    charges = SubscriptionChargeOut(many=True)


class SubscriptionDetails(SubscriptionOut):
    """A subscription with what to check about its charges."""

    warnings = SubscriptionWarningOut(source="now_warnings", many=True)


def serialize_subscriptions(subscriptions: Iterable[Subscription], *, now: datetime) -> list[Any]:
    """Serialize subscriptions with their status at `now`: at most six queries, however many subscriptions."""
    return list(SubscriptionOut(load_subscriptions(subscriptions, now=now), many=True).data)


def load_subscriptions(subscriptions: Iterable[Subscription], *, now: datetime) -> list[Any]:
    """Attach the status at `now` to subscriptions, as `SubscriptionOut` needs it: at most six queries."""
    rows: list[Any] = list(subscriptions)
    prefetch_related_objects(rows, "customer__parent")
    chains = get_phases_by_subscription([row.pk for row in rows])
    phases = {row.pk: phase_now(chains.get(row.pk, []), now) for row in rows}
    priced = prices_by_version(phase.plan_version for phase in phases.values() if phase)
    commitments = get_current_commitments(rows, now)
    for row in rows:
        row.now_commitment = commitments.get(row.pk)
        phase = phases[row.pk]
        row.now_phase, row.now_plan = phase, phase.plan_version.plan if phase else None
        row.now_status, row.now_period = status_of(row, phase, now), _period(row, now)
        row.now_trial = next((part for part in chains.get(row.pk, []) if part.kind == PhaseKind.TRIAL), None)
        row.now_items = _items(row, phase, priced.get(phase.plan_version_id, [])) if phase else []
    trials = [pk for pk, chain in chains.items() if chain[-1].kind == PhaseKind.TRIAL]
    ends = dict.fromkeys(trials, True) | dict.fromkeys(_shortened_trials(trials), False)
    for row in rows:
        row.now_ends_with_period = _is_cancellation_scheduled(row) and ends.get(row.pk, _ends_with_period(row, now))
    return rows


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


def _shortened_trials(subscription_ids: Sequence[int]) -> set[int]:
    """Return which of the subscriptions were canceled for a date before their trial's end. At most one query."""
    if not subscription_ids:
        return set()
    replaced = SubscriptionPhase.objects.filter(
        subscription__in=subscription_ids, kind=PhaseKind.TRIAL, superseded_at=F("subscription__cancelled_at")
    )
    return set(replaced.filter(ends_at__gt=F("subscription__ended_at")).values_list("subscription_id", flat=True))


def _is_cancellation_scheduled(subscription: Any) -> bool:
    return subscription.cancelled_at is not None and subscription.now_status != "cancelled"


def _ends_with_period(subscription: Subscription, now: datetime) -> bool:
    """Return whether the subscription ends when its billing period would end without a cancellation.

    Canceled on the 12th for the 20th of the month: false, although the current period then ends on the 20th, too.
    """
    whole = period_containing(get_schedule(subscription), now, started_at=subscription.started_at)
    return subscription.ended_at == whole.end


def items_at(subscription: Subscription, phase: SubscriptionPhase) -> list[SubscribedPrice]:
    """Return what a subscription pays in a phase. At most three queries."""
    prices = prices_by_version([phase.plan_version]).get(phase.plan_version_id, [])
    return _items(subscription, phase, prices)


def _items(subscription: Subscription, phase: SubscriptionPhase, prices: Iterable[Price]) -> list[SubscribedPrice]:
    terms = (subscription.currency, subscription.interval, subscription.interval_count)
    return [
        SubscribedPrice(subscription, phase, price)
        for price in prices
        if (price.currency, price.interval, price.interval_count) == terms
    ]


class PauseOut(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = ("pause",)

    subscription = SubscriptionOut()


class CancelOut(ContractAnswer):
    """The end of the subscription, and its status."""

    nulls: ClassVar[tuple[str, ...]] = ("proration_details", "proration_invoice", "total_credit_amount")

    subscription_id = serializers.CharField()
    cancellation_type = serializers.CharField()
    effective_date = serializers.DateTimeField()
    processed_at = serializers.DateTimeField()
    status = serializers.ChoiceField(STATUSES)
    reason = serializers.CharField()
    message = serializers.CharField()
