"""Bodies of the doors that tell usage together with its money."""

from typing import Any

from rest_framework import serializers

from catalog.api.names import AGGREGATIONS, PERIODS, RECURRING
from catalog.api.serializers import FeatureOut
from config.api.fields import MetadataField, TextField
from customers.api.names import CYCLES, PRORATIONS
from customers.api.serializers import PlanBrief, SourceOut, SubscriptionOut
from events.api.serializers import Moment, Values
from events.usage.windows import SIZES

Number = serializers.DecimalField


def number(**given: Any) -> serializers.DecimalField:
    """Describe an exact JSON number."""
    return Number(max_digits=None, decimal_places=None, coerce_to_string=False, **given)


class SubscriptionUsageIn(serializers.Serializer[Any]):
    """Which subscription, and when: its current billing period unless given."""

    subscription_id = serializers.CharField(max_length=64)
    start_time = Moment()
    end_time = Moment()


class ChargeOut(serializers.Serializer[Any]):
    """One usage price: what was used, free units included, and what it costs."""

    subscription_line_item_id = serializers.CharField()
    meter_id = serializers.CharField()
    meter_display_name = serializers.CharField()
    quantity = number()
    amount = number()
    currency = serializers.CharField()
    display_amount = serializers.CharField()
    is_overage = serializers.BooleanField()


class SubscriptionUsageOut(serializers.Serializer[Any]):
    """A subscription's usage in money."""

    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    amount = number()
    currency = serializers.CharField()
    display_amount = serializers.CharField()
    has_overage = serializers.BooleanField()
    charges = ChargeOut(many=True)


class AnalyticsIn(serializers.Serializer[Any]):
    """Whose usage, when (the last 30 days unless given), and how it is grouped."""

    external_customer_id = serializers.CharField(max_length=255)
    feature_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=100)
    start_time = Moment()
    end_time = Moment()
    window_size = serializers.ChoiceField(list(SIZES), required=False, allow_null=True, allow_blank=True)
    group_by = serializers.ListField(
        child=serializers.RegexField(r"^(feature_id|properties\..+)\Z", max_length=255),
        required=False,
        max_length=5,
        help_text="feature_id, properties.<name>. An item for each feature there is always.",
    )
    property_filters = Values()
    timezone = TextField(64)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and data.get("sources"):
            raise serializers.ValidationError({"sources": "This isn't supported: usage isn't kept by source."})
        return super().to_internal_value(data)


class PointOut(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    usage = serializers.CharField()
    event_count = serializers.IntegerField()


class AnalyticsItem(serializers.Serializer[Any]):
    """A feature, or one group of its events. A group has no cost of its own: tiers price the whole."""

    feature_id = serializers.CharField()
    meter_id = serializers.CharField()
    name = serializers.CharField()
    event_name = serializers.CharField()
    aggregation_type = serializers.ChoiceField(list(AGGREGATIONS))
    external_customer_id = serializers.CharField()
    unit = serializers.CharField()
    unit_plural = serializers.CharField()
    total_usage = serializers.CharField()
    total_cost = serializers.CharField(allow_null=True)
    currency = serializers.CharField(allow_null=True)
    event_count = serializers.IntegerField()
    properties = MetadataField(required=False)
    points = PointOut(many=True)


class AnalyticsOut(serializers.Serializer[Any]):
    currency = serializers.CharField(allow_null=True)
    total_cost = serializers.CharField(allow_null=True)
    items = AnalyticsItem(many=True)


class FeatureUsage(serializers.Serializer[Any]):
    feature = FeatureOut()
    current_usage = serializers.CharField()
    total_limit = serializers.IntegerField(allow_null=True)
    is_unlimited = serializers.BooleanField()
    is_enabled = serializers.BooleanField()
    is_soft_limit = serializers.BooleanField()
    usage_percent = serializers.CharField(allow_null=True)
    next_usage_reset_at = serializers.DateTimeField(allow_null=True)
    sources = SourceOut(many=True)


class PeriodOut(serializers.Serializer[Any]):
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()


class UsageSummary(serializers.Serializer[Any]):
    """What a customer has used of what its plans grant, in the current billing period."""

    customer_id = serializers.CharField()
    period = PeriodOut(allow_null=True)
    features = FeatureUsage(many=True)


class ChangeIn(serializers.Serializer[Any]):
    """The plan to move to. Rhythm and currency stay as they are."""

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
    difference = serializers.CharField(help_text="To what it would be without the change.")
    currency = serializers.CharField()


class ChangePreview(serializers.Serializer[Any]):
    """What the change would do to the upcoming invoice. Nothing was changed."""

    subscription_id = serializers.CharField()
    current_plan = PlanBrief()
    target_plan = PlanBrief()
    effective_date = serializers.DateTimeField()
    upcoming_invoice = NextInvoice()


class ChangeOut(serializers.Serializer[Any]):
    effective_date = serializers.DateTimeField()
    is_scheduled = serializers.BooleanField()
    subscription = SubscriptionOut()
