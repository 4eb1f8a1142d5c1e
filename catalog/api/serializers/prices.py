"""Prices in answers."""

from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import (
    CADENCES,
    ENTITY_TYPES,
    PERIODS,
    PRICE_KINDS,
    RECURRING,
    billing_model_of,
)
from catalog.api.serializers.features import FILTER_VALUES, MeterOut, filter_values_of
from catalog.kinds import PackageRounding
from catalog.models import Price, PriceTier
from catalog.models.prices import PriceKind, PriceModel
from config.api.contract import ContractRecord
from config.api.fields import ExactField, MetadataField, name_of

TIER_MODES = {PriceModel.VOLUME: "VOLUME", PriceModel.GRADUATED: "SLAB", PriceModel.GRADUATED_PERCENTAGE: "SLAB"}


class TierOut(serializers.Serializer[Any]):
    up_to = serializers.SerializerMethodField()
    unit_amount = ExactField()
    flat_amount = ExactField()
    rate_percent = ExactField()

    def get_up_to(self, tier: PriceTier) -> int | None:
        """Return the bound as an integer. A fractional bound, which staff can enter, is rounded down."""
        return None if tier.up_to is None else int(tier.up_to)


class TransformOut(serializers.Serializer[Any]):
    divide_by = serializers.IntegerField()
    round = serializers.ChoiceField(["up", "down"])


class PriceOut(ContractRecord):
    """A price of a plan or add-on, or one agreed with a subscription. `entity_id` is its id."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("addon", "bucket_size", "conversion_rate", "display_amount", "display_price_unit_amount", "end_date"),
        *("feature", "group", "group_id", "plan", "price_unit", "price_unit_amount"),
        *("price_unit_id", "price_unit_tiers", "pricing_unit", "trial_period", "sequence", "start_date"),
    )

    id = serializers.CharField(source="public_id")
    entity_type = serializers.SerializerMethodField()
    entity_id = serializers.SerializerMethodField()
    plan_version = serializers.IntegerField(source="version.number")
    type = serializers.SerializerMethodField()
    billing_model = serializers.SerializerMethodField()
    billing_period = serializers.SerializerMethodField()
    billing_period_count = serializers.SerializerMethodField()
    subscription_billing_period = serializers.SerializerMethodField(
        help_text="The billing period of the subscriptions that pay the price. A fee's own can be several of them."
    )
    billing_cadence = serializers.SerializerMethodField()
    invoice_cadence = serializers.SerializerMethodField()
    price_unit_type = serializers.SerializerMethodField()
    amount = ExactField(source="unit_amount", allow_null=True)
    currency = serializers.CharField()
    display_name = serializers.CharField(source="label")
    description = serializers.CharField()
    minimum_amount = ExactField(allow_null=True)
    minimum_quantity = ExactField(allow_null=True)
    maximum_amount = ExactField(allow_null=True)
    rate_percent = ExactField(allow_null=True)
    fixed_amount_per_event = ExactField(allow_null=True)
    free_events = serializers.IntegerField(allow_null=True)
    free_amount = ExactField(allow_null=True)
    per_event_minimum = ExactField(allow_null=True)
    per_event_maximum = ExactField(allow_null=True)
    lookup_key = serializers.CharField(source="key", allow_null=True)
    meter_id = serializers.CharField(source="feature.public_id", default=None, allow_null=True)
    meter = MeterOut(source="feature", allow_null=True)
    filter_values = serializers.SerializerMethodField(
        help_text="Of a price by value: the property with the values that are charged; without values, all that have "
        "no price."
    )
    tier_mode = serializers.SerializerMethodField()
    tiers = serializers.SerializerMethodField()
    transform_quantity = serializers.SerializerMethodField()
    min_quantity = ExactField(source="quantity")
    quantity_minimum = ExactField(allow_null=True)
    quantity_maximum = ExactField(allow_null=True)
    parent_price_id = serializers.SerializerMethodField(help_text="Of an agreed price: the list price it replaces.")
    trial_period_days = serializers.SerializerMethodField()
    metadata = MetadataField()
    status = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(FILTER_VALUES)
    def get_filter_values(self, price: Price) -> dict[str, list[str]] | None:
        return filter_values_of(price.feature)

    def get_trial_period_days(self, price: Price) -> int | None:
        """Return the trial of the plan version, which fees have."""
        return price.version.trial_days if price.kind == PriceKind.FIXED else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_parent_price_id(self, price: Price) -> str | None:
        return None if price.listed is None else price.listed.public_id

    @extend_schema_field(serializers.ChoiceField([*ENTITY_TYPES, "SUBSCRIPTION"]))
    def get_entity_type(self, price: Price) -> str | None:
        return name_of(ENTITY_TYPES, price.version.plan.kind) if price.version.base_id is None else "SUBSCRIPTION"

    def get_entity_id(self, price: Price) -> str:
        return price.version.agreed_for or price.version.plan.public_id

    def get_status(self, price: Price) -> str:
        return "published"

    @extend_schema_field(serializers.ChoiceField(list(PRICE_KINDS)))
    def get_type(self, price: Price) -> str | None:
        return name_of(PRICE_KINDS, price.kind)

    @extend_schema_field(serializers.ChoiceField(["FLAT_FEE", "PACKAGE", "TIERED", "PERCENTAGE"]))
    def get_billing_model(self, price: Price) -> str:
        return billing_model_of(price)

    @extend_schema_field(serializers.ChoiceField(list(PERIODS)))
    def get_billing_period(self, price: Price) -> str | None:
        return name_of(PERIODS, price.every.unit)

    def get_billing_period_count(self, price: Price) -> int:
        return price.every.number

    @extend_schema_field(serializers.ChoiceField(list(PERIODS)))
    def get_subscription_billing_period(self, price: Price) -> str | None:
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


class Prices(serializers.Serializer[Any]):
    items = PriceOut(many=True)
