"""Usage with its cost, and plan changes, in requests and answers."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.fields import MoneyField
from billing.api.serializers.invoices import InvoiceOut
from billing.explanation.spending import FeatureCost, GrantUsage, PriceUsage, SubscriptionUsage
from billing.money import format_amount
from catalog.api.names import AGGREGATIONS, PERIODS, RECURRING
from catalog.api.serializers.features import FILTER_VALUES, FeatureOut, filter_values_of
from config.api.contract import ContractAnswer
from config.api.fields import (
    ComputedBoolean,
    ComputedInteger,
    ComputedList,
    ComputedText,
    MetadataField,
    NamedChoiceField,
    QuantityField,
    TextField,
)
from config.api.unknown_names import Unused
from customers.api.names import CYCLES, PRORATIONS
from customers.api.serializers.grants import SourceOut
from customers.api.serializers.subscriptions import PlanBrief, SubscriptionOut
from customers.kinds import ChangeInvoicing
from events.api.serializers.fields import Moment, Values
from events.usage.windows import SIZES


def number(**options: Any) -> serializers.DecimalField:
    """Make a field for an exact JSON number."""
    return serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False, **options)


class SubscriptionUsageIn(serializers.Serializer[Any]):
    """The subscription and the time range, which defaults to its current billing period."""

    unused: ClassVar[dict[str, Unused]] = {
        "lifetime_usage": Unused("Specify start_time and end_time instead.", (False,))
    }

    subscription_id = serializers.CharField(max_length=64)
    start_time = Moment()
    end_time = Moment()


class ChargeOut(ContractAnswer):
    """The usage under one price, free units included, and its cost."""

    nulls: ClassVar[tuple[str, ...]] = ("overage_factor", "price")

    subscription_line_item_id = ComputedText()
    meter_id = ComputedText()
    meter_display_name = serializers.CharField(source="price.label")
    filter_values = serializers.SerializerMethodField(help_text="Of a price by value: as in the price.")
    quantity = number()
    amount = number()
    currency = serializers.CharField()
    display_amount = ComputedText()
    is_overage = ComputedBoolean()

    def get_subscription_line_item_id(self, usage: PriceUsage) -> str:
        return f"{usage.subscription.public_id}:{usage.price.public_id}"

    def get_meter_id(self, usage: PriceUsage) -> str:
        return usage.price.feature.public_id if usage.price.feature else ""

    @extend_schema_field(FILTER_VALUES)
    def get_filter_values(self, usage: PriceUsage) -> dict[str, list[str]] | None:
        return filter_values_of(usage.price.feature)

    def get_display_amount(self, usage: PriceUsage) -> str:
        return format_amount(usage.amount, usage.currency)

    def get_is_overage(self, usage: PriceUsage) -> bool:
        return False


class SubscriptionUsageOut(ContractAnswer):
    """A subscription's usage and its cost."""

    start_time = serializers.DateTimeField(source="window.start")
    end_time = serializers.DateTimeField(source="window.end")
    amount = number(source="total")
    currency = serializers.CharField()
    display_amount = ComputedText()
    commitment_amount = number(source="commitment.limit", default=None, allow_null=True)
    commitment_utilized = number(source="commitment.drawn", default=None, allow_null=True)
    has_overage = ComputedBoolean()
    overage_amount = number(source="commitment.above", default=None, allow_null=True)
    overage_factor = number(source="commitment.committed.overage_factor", default=None, allow_null=True)
    charges = ChargeOut(many=True)

    def get_display_amount(self, usage: SubscriptionUsage) -> str:
        return format_amount(usage.total, usage.currency)

    def get_has_overage(self, usage: SubscriptionUsage) -> bool:
        return usage.commitment is not None and usage.commitment.above > 0


class AnalyticsIn(serializers.Serializer[Any]):
    """The customer, the time range (the last 30 days by default) and the grouping."""

    unused: ClassVar[dict[str, Unused]] = {
        "breakdown_bucket": Unused("Use window_size.", (False,)),
        "expand": Unused("Items are complete. Leave this field out."),
        "include_children": Unused("Customers have no children.", (False,)),
    }

    external_customer_id = serializers.CharField(max_length=255)
    feature_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=100)
    start_time = Moment()
    end_time = Moment()
    window_size = serializers.ChoiceField(list(SIZES), required=False, allow_null=True, allow_blank=True)
    group_by = serializers.ListField(
        child=serializers.RegexField(r"^(feature_id|source|properties\..+)\Z", max_length=255),
        required=False,
        max_length=5,
        help_text="feature_id, source or properties.<name>. Usage is always grouped by feature.",
    )
    property_filters = Values()
    sources = serializers.ListField(
        child=serializers.CharField(max_length=255, allow_blank=True), required=False, allow_null=True, max_length=100
    )
    timezone = TextField(64)


class PointOut(ContractAnswer):
    """One window of the usage."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("buckets", "computed_commitment_utilized_amount", "computed_overage_amount", "computed_true_up_amount"),
        *("cost", "discount", "subtotal"),
    )

    timestamp = serializers.DateTimeField(source="period.start")
    usage = QuantityField(source="usage.value")
    event_count = serializers.IntegerField(source="usage.events")


class AnalyticsItem(ContractAnswer):
    """The usage of a feature, or of one group of its events. Groups have no cost: tiers price the feature's total."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("add_on_id", "addon", "bucket_summaries", "commitment_info", "feature", "group", "meter", "plan"),
        *("plan_id", "price", "price_id", "reporting_unit", "sub_line_item_id", "subscription_id"),
        *("subscription_line_item", "subtotal", "total_discount", "total_usage_display", "window_size"),
    )

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
    properties = MetadataField(allow_null=True, default=None)
    source = serializers.CharField(allow_null=True, default=None)  # type: ignore[assignment]  # the base's argument
    sources = ComputedList(child=serializers.CharField(), allow_null=True)
    total_cost = MoneyField(source="cost", allow_null=True)
    currency = serializers.CharField(allow_null=True)
    points = PointOut(source="windows", many=True)

    def get_sources(self, item: FeatureCost) -> list[str] | None:
        source: str | None = getattr(item, "source", None)
        return None if source is None else [source]


class AnalyticsOut(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = ("custom_analytics", "subtotal", "total_discount")

    currency = serializers.CharField(allow_null=True)
    total_cost = MoneyField(allow_null=True)
    items = AnalyticsItem(many=True)


class FeatureUsage(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = (
        *("buckets", "grant_duration_unit", "grant_duration_value", "grant_measure", "grant_quota", "grant_state"),
        "grant_unlimited",
    )

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


class PeriodOut(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = ("period",)

    start_time = serializers.DateTimeField(source="start")
    end_time = serializers.DateTimeField(source="end")


class UsageSummary(ContractAnswer):
    """A customer's usage of its entitlements in the current billing period."""

    nulls: ClassVar[tuple[str, ...]] = ("pagination",)

    customer_id = serializers.CharField(source="customer.public_id")
    period = PeriodOut(allow_null=True)
    features = FeatureUsage(many=True)


class ChangeIn(serializers.Serializer[Any]):
    """The new plan. The billing interval and currency don't change."""

    unused: ClassVar[dict[str, Unused]] = {
        "metadata": Unused("A plan change has no metadata. Use the subscription's metadata.")
    }

    target_plan_id = serializers.CharField(max_length=64)
    proration_behavior = serializers.ChoiceField(list(PRORATIONS), default="create_prorations")
    billing_cadence = serializers.ChoiceField([RECURRING], default=RECURRING)
    billing_period = serializers.ChoiceField(list(PERIODS), required=False)
    billing_period_count = serializers.IntegerField(min_value=1, required=False)
    billing_cycle = serializers.ChoiceField(list(CYCLES), required=False)
    change_at = serializers.ChoiceField(["immediate", "end_of_period"], default="immediate")
    effective_date = Moment(help_text="From when on the plan applies, instead of change_at.")
    reason = TextField(255, allow_null=True, help_text="Required to change the past.")
    invoicing = serializers.ChoiceField(
        ChangeInvoicing.choices,
        default=ChangeInvoicing.IMMEDIATE,
        help_text="When the difference of fees in advance is invoiced. A credit always goes on the next invoice.",
    )


class InvoicedAtOnce(serializers.Serializer[Any]):
    """The total that the change invoices at once."""

    total = serializers.CharField()
    currency = serializers.CharField()


class NextInvoice(serializers.Serializer[Any]):
    """The total of the upcoming invoice after the change, and what the change costs in all."""

    total = serializers.CharField()
    difference = serializers.CharField(
        help_text="What the change costs, invoiced at once or later, compared to the total without the change."
    )
    currency = serializers.CharField()


class FullPeriod(serializers.Serializer[Any]):
    """What a whole billing period costs with the usage of the last full one, before and after the change.

    With lasting discounts and tax, without prepaid credit.
    """

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    total_before = serializers.CharField()
    total_after = serializers.CharField()
    difference = serializers.CharField()
    currency = serializers.CharField()


class ChangePreview(ContractAnswer):
    """The effect of a plan change on invoices. Nothing is changed."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("change_type", "metadata", "new_billing_cycle", "next_invoice_preview", "proration_details", "warnings"),
    )

    subscription_id = serializers.CharField()
    current_plan = PlanBrief()
    target_plan = PlanBrief()
    effective_date = serializers.DateTimeField()
    immediate_invoice = InvoicedAtOnce(allow_null=True)
    upcoming_invoice = NextInvoice()
    full_period = FullPeriod(allow_null=True, help_text="`null` if no billing period is over yet since the start.")


class ChangeOut(ContractAnswer):
    """The changed subscription, and the invoice that the change made at once, if any."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("change_type", "credit_grants", "metadata", "new_subscription", "old_subscription", "proration_applied"),
    )

    effective_date = serializers.DateTimeField()
    is_scheduled = serializers.BooleanField()
    schedule_id = serializers.CharField(allow_null=True)
    scheduled_at = serializers.DateTimeField(allow_null=True)
    invoice = InvoiceOut(allow_null=True)
    subscription = SubscriptionOut()
