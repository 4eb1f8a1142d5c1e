"""Usage with its cost, and plan changes, in requests and answers."""

from typing import Any

from rest_framework import serializers

from billing.api.fields import MoneyField
from billing.explanation.spending import GrantUsage, PriceUsage, SubscriptionUsage
from billing.money import format_amount
from catalog.api.names import AGGREGATIONS, PERIODS, RECURRING
from catalog.api.serializers import FeatureOut
from config.api.fields import (
    ComputedBoolean,
    ComputedInteger,
    ComputedText,
    MetadataField,
    NamedChoiceField,
    QuantityField,
    TextField,
)
from customers.api.names import CYCLES, PRORATIONS
from customers.api.serializers import PlanBrief, SourceOut, SubscriptionOut
from events.api.serializers import Moment, Values
from events.usage.windows import SIZES


def number(**options: Any) -> serializers.DecimalField:
    """Make a field for an exact JSON number."""
    return serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False, **options)


class SubscriptionUsageIn(serializers.Serializer[Any]):
    """The subscription and the time range, which defaults to its current billing period."""

    subscription_id = serializers.CharField(max_length=64)
    start_time = Moment()
    end_time = Moment()


class ChargeOut(serializers.Serializer[Any]):
    """The usage under one price, free units included, and its cost."""

    subscription_line_item_id = ComputedText()
    meter_id = ComputedText()
    meter_display_name = serializers.CharField(source="price.label")
    quantity = number()
    amount = number()
    currency = serializers.CharField()
    display_amount = ComputedText()
    is_overage = ComputedBoolean()

    def get_subscription_line_item_id(self, usage: PriceUsage) -> str:
        return f"{usage.subscription.public_id}:{usage.price.public_id}"

    def get_meter_id(self, usage: PriceUsage) -> str:
        return usage.price.feature.public_id if usage.price.feature else ""

    def get_display_amount(self, usage: PriceUsage) -> str:
        return format_amount(usage.amount, usage.currency)

    def get_is_overage(self, usage: PriceUsage) -> bool:
        return False


class SubscriptionUsageOut(serializers.Serializer[Any]):
    """A subscription's usage and its cost."""

    start_time = serializers.DateTimeField(source="window.start")
    end_time = serializers.DateTimeField(source="window.end")
    amount = number(source="total")
    currency = serializers.CharField()
    display_amount = ComputedText()
    has_overage = ComputedBoolean()
    charges = ChargeOut(many=True)

    def get_display_amount(self, usage: SubscriptionUsage) -> str:
        return format_amount(usage.total, usage.currency)

    def get_has_overage(self, usage: SubscriptionUsage) -> bool:
        return False


class AnalyticsIn(serializers.Serializer[Any]):
    """The customer, the time range (the last 30 days by default) and the grouping."""

    external_customer_id = serializers.CharField(max_length=255)
    feature_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=100)
    start_time = Moment()
    end_time = Moment()
    window_size = serializers.ChoiceField(list(SIZES), required=False, allow_null=True, allow_blank=True)
    group_by = serializers.ListField(
        child=serializers.RegexField(r"^(feature_id|properties\..+)\Z", max_length=255),
        required=False,
        max_length=5,
        help_text="feature_id or properties.<name>. Usage is always grouped by feature.",
    )
    property_filters = Values()
    timezone = TextField(64)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and data.get("sources"):
            raise serializers.ValidationError({"sources": "Filtering by source isn't supported. Leave this field out."})
        return super().to_internal_value(data)


class PointOut(serializers.Serializer[Any]):
    """One window of the usage."""

    timestamp = serializers.DateTimeField(source="period.start")
    usage = QuantityField(source="usage.value")
    event_count = serializers.IntegerField(source="usage.events")


class AnalyticsItem(serializers.Serializer[Any]):
    """The usage of a feature, or of one group of its events. Groups have no cost: tiers price the feature's total."""

    feature_id = serializers.CharField(source="feature.public_id")
    meter_id = serializers.CharField(source="feature.public_id")
    name = serializers.CharField(source="feature.name")
    event_name = serializers.CharField(source="feature.event_name")
    aggregation_type = NamedChoiceField(AGGREGATIONS, source="feature.aggregation")
    external_customer_id = serializers.CharField(source="customer.external_id")
    unit = serializers.CharField(source="feature.unit_singular")
    unit_plural = serializers.CharField(source="feature.unit_plural")
    total_usage = QuantityField(source="usage.value")
    event_count = serializers.IntegerField(source="usage.events")
    properties = MetadataField(required=False)
    total_cost = MoneyField(source="cost", allow_null=True)
    currency = serializers.CharField(allow_null=True)
    points = PointOut(source="windows", many=True)


class AnalyticsOut(serializers.Serializer[Any]):
    currency = serializers.CharField(allow_null=True)
    total_cost = MoneyField(allow_null=True)
    items = AnalyticsItem(many=True)


class FeatureUsage(serializers.Serializer[Any]):
    feature = FeatureOut(source="grant.feature")
    current_usage = QuantityField(source="used")
    total_limit = ComputedInteger(allow_null=True)
    is_unlimited = ComputedBoolean()
    is_enabled = serializers.BooleanField(source="grant.is_enabled")
    is_soft_limit = serializers.BooleanField(source="grant.is_soft_limit")
    usage_percent = QuantityField(source="percent", allow_null=True)
    next_usage_reset_at = serializers.DateTimeField(source="reset_at", allow_null=True)
    sources = SourceOut(source="grant.sources", many=True)

    def get_total_limit(self, usage: GrantUsage) -> int | None:
        return None if usage.grant.limit is None else int(usage.grant.limit)

    def get_is_unlimited(self, usage: GrantUsage) -> bool:
        return usage.grant.limit is None


class PeriodOut(serializers.Serializer[Any]):
    start_time = serializers.DateTimeField(source="start")
    end_time = serializers.DateTimeField(source="end")


class UsageSummary(serializers.Serializer[Any]):
    """A customer's usage of its entitlements in the current billing period."""

    customer_id = serializers.CharField(source="customer.public_id")
    period = PeriodOut(allow_null=True)
    features = FeatureUsage(many=True)


class ChangeIn(serializers.Serializer[Any]):
    """The new plan. The billing interval and currency don't change."""

    target_plan_id = serializers.CharField(max_length=64)
    proration_behavior = serializers.ChoiceField(list(PRORATIONS), default="create_prorations")
    billing_cadence = serializers.ChoiceField([RECURRING], default=RECURRING)
    billing_period = serializers.ChoiceField(list(PERIODS), required=False)
    billing_period_count = serializers.IntegerField(min_value=1, required=False)
    billing_cycle = serializers.ChoiceField(list(CYCLES), required=False)
    change_at = serializers.ChoiceField(["immediate", "end_of_period"], default="immediate")
    metadata = MetadataField(required=False)


class NextInvoice(serializers.Serializer[Any]):
    total = serializers.CharField()
    difference = serializers.CharField(help_text="The difference from the total without the change.")
    currency = serializers.CharField()


class ChangePreview(serializers.Serializer[Any]):
    """The effect of a plan change on the upcoming invoice. Nothing is changed."""

    subscription_id = serializers.CharField()
    current_plan = PlanBrief()
    target_plan = PlanBrief()
    effective_date = serializers.DateTimeField()
    upcoming_invoice = NextInvoice()


class ChangeOut(serializers.Serializer[Any]):
    effective_date = serializers.DateTimeField()
    is_scheduled = serializers.BooleanField()
    subscription = SubscriptionOut()
