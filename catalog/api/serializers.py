"""Features, plans, prices and entitlements in answers."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import (
    AGGREGATIONS,
    CADENCES,
    ENTITLEMENT_RESETS,
    PERIODS,
    PRICE_KINDS,
    RECURRING,
    RESETS,
    STATUSES,
)
from catalog.kinds import PackageRounding
from catalog.models import Entitlement, Feature, Plan, Price, PriceTier
from catalog.models.prices import PriceModel
from config.api.fields import ExactField, MetadataField, name_of, plain

TIER_MODES = {PriceModel.VOLUME: "VOLUME", PriceModel.GRADUATED: "SLAB", PriceModel.GRADUATED_PERCENTAGE: "SLAB"}


@extend_schema_field({"type": "string", "enum": ["published", "archived"]})
class StatusField(serializers.Field[Any, Any, str, Any]):
    """Whether the object is in use or archived."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, source="state", **kwargs)

    def to_representation(self, value: Any) -> str:
        return STATUSES.get(str(value), "published")


class FilterOut(serializers.Serializer[Any]):
    key = serializers.CharField()
    values = serializers.ListField(child=serializers.CharField())


class AggregationOut(serializers.Serializer[Any]):
    type = serializers.ChoiceField(list(AGGREGATIONS))
    field = serializers.CharField()
    multiplier = serializers.CharField(allow_null=True)


class MeterOut(serializers.Serializer[Any]):
    """How the events of a metered feature are aggregated. A meter has the id of its feature."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    event_name = serializers.CharField()
    aggregation = serializers.SerializerMethodField()
    filters = serializers.SerializerMethodField()
    reset_usage = serializers.SerializerMethodField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(AggregationOut)
    def get_aggregation(self, feature: Feature) -> dict[str, Any]:
        multiplier = None if feature.multiplier is None else plain(feature.multiplier)
        kind = name_of(AGGREGATIONS, feature.aggregation)
        return {"type": kind, "field": feature.field, "multiplier": multiplier}

    @extend_schema_field(FilterOut(many=True))
    def get_filters(self, feature: Feature) -> list[dict[str, Any]]:
        return [
            {"key": key, "values": [_text(value) for value in (values if isinstance(values, list) else [values])]}
            for key, values in feature.filters.items()
        ]

    @extend_schema_field(serializers.ChoiceField(list(RESETS)))
    def get_reset_usage(self, feature: Feature) -> str | None:
        return name_of(RESETS, feature.reset)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class FeatureOut(serializers.Serializer[Any]):
    """A feature that customers use."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    lookup_key = serializers.CharField(source="key", allow_null=True)
    description = serializers.CharField()
    type = serializers.ChoiceField(["metered", "boolean", "static"], source="kind")
    unit_singular = serializers.CharField()
    unit_plural = serializers.CharField()
    accept_numeric_strings = serializers.BooleanField()
    metadata = MetadataField()
    meter_id = serializers.SerializerMethodField()
    meter = serializers.SerializerMethodField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_meter_id(self, feature: Feature) -> str | None:
        return feature.public_id if feature.event_name else None

    @extend_schema_field(MeterOut(allow_null=True))
    def get_meter(self, feature: Feature) -> Any:
        return MeterOut(feature).data if feature.event_name else None


class TierOut(serializers.Serializer[Any]):
    up_to = serializers.SerializerMethodField()
    unit_amount = ExactField()
    flat_amount = ExactField()

    def get_up_to(self, tier: PriceTier) -> int | None:
        """Return the bound as an integer. A fractional bound, which staff can enter, is rounded down."""
        return None if tier.up_to is None else int(tier.up_to)


class TransformOut(serializers.Serializer[Any]):
    divide_by = serializers.IntegerField()
    round = serializers.ChoiceField(["up", "down"])


class PriceOut(serializers.Serializer[Any]):
    """A price of a plan. `entity_id` is the plan's id."""

    id = serializers.CharField(source="public_id")
    entity_type = serializers.SerializerMethodField()
    entity_id = serializers.CharField(source="version.plan.public_id")
    plan_version = serializers.IntegerField(source="version.number")
    type = serializers.SerializerMethodField()
    billing_model = serializers.SerializerMethodField()
    billing_period = serializers.SerializerMethodField()
    billing_period_count = serializers.IntegerField(source="interval_count")
    billing_cadence = serializers.SerializerMethodField()
    invoice_cadence = serializers.SerializerMethodField()
    price_unit_type = serializers.SerializerMethodField()
    amount = ExactField(source="unit_amount", allow_null=True)
    currency = serializers.CharField()
    display_name = serializers.CharField(source="label")
    lookup_key = serializers.CharField(source="key", allow_null=True)
    meter_id = serializers.CharField(source="feature.public_id", default=None, allow_null=True)
    meter = MeterOut(source="feature", allow_null=True)
    tier_mode = serializers.SerializerMethodField()
    tiers = serializers.SerializerMethodField()
    transform_quantity = serializers.SerializerMethodField()
    min_quantity = ExactField(source="quantity")
    metadata = MetadataField()
    status = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_entity_type(self, price: Price) -> str:
        return "PLAN"

    def get_status(self, price: Price) -> str:
        return "published"

    @extend_schema_field(serializers.ChoiceField(list(PRICE_KINDS)))
    def get_type(self, price: Price) -> str | None:
        return name_of(PRICE_KINDS, price.kind)

    @extend_schema_field(serializers.ChoiceField(["FLAT_FEE", "PACKAGE", "TIERED"]))
    def get_billing_model(self, price: Price) -> str:
        if price.is_tiered:
            return "TIERED"
        return "PACKAGE" if price.model == PriceModel.PACKAGE else "FLAT_FEE"

    @extend_schema_field(serializers.ChoiceField(list(PERIODS)))
    def get_billing_period(self, price: Price) -> str | None:
        return name_of(PERIODS, price.interval)

    @extend_schema_field(serializers.ChoiceField([RECURRING]))
    def get_billing_cadence(self, price: Price) -> str:
        return RECURRING

    @extend_schema_field(serializers.ChoiceField(list(CADENCES)))
    def get_invoice_cadence(self, price: Price) -> str | None:
        return name_of(CADENCES, price.cadence)

    @extend_schema_field(serializers.ChoiceField(["FIAT"]))
    def get_price_unit_type(self, price: Price) -> str:
        return "FIAT"

    @extend_schema_field(serializers.ChoiceField(["VOLUME", "SLAB"], allow_null=True))
    def get_tier_mode(self, price: Price) -> str | None:
        return TIER_MODES.get(PriceModel(price.model))

    @extend_schema_field(TierOut(many=True, allow_null=True))
    def get_tiers(self, price: Price) -> Any:
        tiers = sorted(price.tiers.all(), key=lambda tier: (tier.up_to is None, tier.up_to or Decimal(0)))
        return TierOut(tiers, many=True).data if tiers else None

    @extend_schema_field(TransformOut(allow_null=True))
    def get_transform_quantity(self, price: Price) -> dict[str, Any] | None:
        if price.package_size is None:
            return None
        rounding = "down" if price.package_rounding == PackageRounding.DOWN else "up"
        return {"divide_by": int(price.package_size), "round": rounding}


class EntitlementOut(serializers.Serializer[Any]):
    """A plan's entitlement to a feature. A null `usage_limit` is unlimited."""

    id = serializers.CharField(source="public_id")
    entity_type = serializers.SerializerMethodField()
    entity_id = serializers.CharField(source="version.plan.public_id")
    plan_id = serializers.CharField(source="version.plan.public_id")
    plan_version = serializers.IntegerField(source="version.number")
    feature_id = serializers.CharField(source="feature.public_id")
    feature_type = serializers.CharField(source="feature.kind")
    feature = FeatureOut()
    is_enabled = serializers.BooleanField()
    is_soft_limit = serializers.BooleanField()
    usage_limit = serializers.SerializerMethodField()
    usage_reset_period = serializers.SerializerMethodField()
    static_value = serializers.CharField()
    status = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_entity_type(self, entitlement: Entitlement) -> str:
        return "PLAN"

    def get_status(self, entitlement: Entitlement) -> str:
        return "published"

    def get_usage_limit(self, entitlement: Entitlement) -> int | None:
        return None if entitlement.free_units is None else int(entitlement.free_units)

    @extend_schema_field(serializers.ChoiceField(list(ENTITLEMENT_RESETS), allow_null=True))
    def get_usage_reset_period(self, entitlement: Entitlement) -> str | None:
        return name_of(ENTITLEMENT_RESETS, entitlement.reset)


class PlanOut(serializers.Serializer[Any]):
    """A plan. `prices` and `entitlements` of its newest version are included if `expand` lists them."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    lookup_key = serializers.CharField(source="key", allow_null=True)
    description = serializers.CharField()
    display_order = serializers.IntegerField()
    metadata = MetadataField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    prices = serializers.SerializerMethodField()
    entitlements = serializers.SerializerMethodField()

    @extend_schema_field(PriceOut(many=True, allow_null=True))
    def get_prices(self, plan: Plan) -> Any:
        prices = self.context.get("prices")
        return None if prices is None else PriceOut(prices.get(plan.pk, []), many=True).data

    @extend_schema_field(EntitlementOut(many=True, allow_null=True))
    def get_entitlements(self, plan: Plan) -> Any:
        entitlements = self.context.get("entitlements")
        return None if entitlements is None else EntitlementOut(entitlements.get(plan.pk, []), many=True).data


class Prices(serializers.Serializer[Any]):
    items = PriceOut(many=True)


class Entitlements(serializers.Serializer[Any]):
    items = EntitlementOut(many=True)
