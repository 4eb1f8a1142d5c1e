"""The bodies that change the catalog: read, checked, and brought into our own words."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from catalog.api.names import AGGREGATIONS, CADENCES, ENTITLEMENT_RESETS, OTHER_RESETS, PERIODS, PRICE_KINDS, RESETS
from catalog.drafting import PriceTerms, Tier
from catalog.models import EntitlementReset
from catalog.models.features import FeatureKind
from catalog.models.prices import PriceKind, PriceModel
from config.api.fields import MetadataField, TextField

Invalid = serializers.ValidationError
UNKNOWN_TO_US = ("expression", "bucket_size", "group_by")


class AmountIn(serializers.DecimalField):
    """A unit price: 0 or more, up to twelve decimals, as a string or a number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=30, decimal_places=12, min_value=Decimal(0), **kwargs)


class FilterIn(serializers.Serializer[Any]):
    key = serializers.CharField(max_length=255)
    values = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=1000)


class AggregationIn(serializers.Serializer[Any]):
    type = serializers.ChoiceField(list(AGGREGATIONS))
    field = TextField(allow_null=True)
    multiplier = serializers.DecimalField(max_digits=60, decimal_places=20, required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (sent := [name for name in UNKNOWN_TO_US if data.get(name)]):
            raise Invalid(dict.fromkeys(sent, "This isn't supported."))
        return super().to_internal_value(data)


class MeterIn(serializers.Serializer[Any]):
    name = TextField()
    event_name = serializers.CharField(max_length=255)
    aggregation = AggregationIn()
    reset_usage = serializers.ChoiceField(list(RESETS), default="BILLING_PERIOD")
    filters = FilterIn(many=True, required=False, allow_null=True)


class FeatureIn(serializers.Serializer[Any]):
    """A feature; a metered one with its meter."""

    name = serializers.CharField(max_length=255)
    type = serializers.ChoiceField(["metered", "boolean", "static"])
    lookup_key = TextField(allow_null=True)
    description = TextField(10_000)
    unit_singular = TextField(64)
    unit_plural = TextField(64)
    metadata = MetadataField(required=False, allow_null=True)
    meter = MeterIn(required=False, allow_null=True)
    accept_numeric_strings = serializers.BooleanField(required=False)

    def validate(self, attrs: Any) -> Any:
        if attrs["type"] == FeatureKind.METERED and not attrs.get("meter"):
            raise Invalid({"meter": "A metered feature needs its meter."})
        return attrs


class FeatureChange(serializers.Serializer[Any]):
    """What to change; the rest stays."""

    name = serializers.CharField(max_length=255, required=False)
    description = TextField(10_000)
    unit_singular = TextField(64)
    unit_plural = TextField(64)
    metadata = MetadataField(required=False)
    filters = FilterIn(many=True, required=False)
    accept_numeric_strings = serializers.BooleanField(required=False)


class CloneIn(serializers.Serializer[Any]):
    """How the copy differs. Its name must."""

    name = serializers.CharField(max_length=255)
    lookup_key = TextField(allow_null=True)
    description = TextField(10_000)
    display_order = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    metadata = MetadataField(required=False)


class PlanIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=255)
    lookup_key = TextField(allow_null=True)
    description = TextField(10_000)
    display_order = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    metadata = MetadataField(required=False, allow_null=True)


class PlanChange(PlanIn):
    name = serializers.CharField(max_length=255, required=False)


def meter_columns(meter: dict[str, Any]) -> dict[str, Any]:
    """Bring a meter into a feature's columns."""
    aggregation = meter["aggregation"]
    return {
        "event_name": meter["event_name"],
        "aggregation": AGGREGATIONS[aggregation["type"]],
        "field": "" if aggregation["type"] == "COUNT" else aggregation.get("field") or "",
        "multiplier": aggregation.get("multiplier") if aggregation["type"] == "SUM_WITH_MULTIPLIER" else None,
        "reset": RESETS[meter["reset_usage"]],
        "filters": filters_of(meter.get("filters") or []),
    }


def filters_of(given: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {one["key"]: one["values"] for one in given}


def own_columns(asked: dict[str, Any]) -> dict[str, Any]:
    """Pick what features and plans call the same, with an empty lookup key for none."""
    names = ("name", "description", "unit_singular", "unit_plural", "accept_numeric_strings", "display_order")
    columns = {name: asked[name] for name in names if name in asked}
    if asked.get("metadata") is not None:
        columns["metadata"] = asked["metadata"]
    if "lookup_key" in asked:
        columns["key"] = asked["lookup_key"] or None
    return columns


class TierIn(serializers.Serializer[Any]):
    up_to = serializers.IntegerField(min_value=1, max_value=10**18, required=False, allow_null=True)
    unit_amount = AmountIn()
    flat_amount = AmountIn(required=False, allow_null=True)


class TransformIn(serializers.Serializer[Any]):
    divide_by = serializers.IntegerField(min_value=1, max_value=10**15)
    round = serializers.ChoiceField(["up", "down"], default="up")


class PriceChange(serializers.Serializer[Any]):
    """What to change of a price, in the plan's draft."""

    amount = AmountIn(required=False)
    display_name = TextField()
    lookup_key = TextField(allow_null=True)
    metadata = MetadataField(required=False)
    tiers = TierIn(many=True, required=False)
    transform_quantity = TransformIn(required=False)

    def validate_tiers(self, given: Any) -> Any:
        return _rising(given)

    def terms(self) -> PriceTerms:
        asked = self.validated_data
        return PriceTerms(_shared_columns(asked), tiers_of(asked.get("tiers")))


class PriceIn(serializers.Serializer[Any]):
    """A price of a plan. It goes into the plan's draft, which the next subscription publishes."""

    entity_type = serializers.ChoiceField(["PLAN"], default="PLAN", help_text="Only plans have prices here.")
    entity_id = serializers.CharField(max_length=64, help_text="The plan's id.")
    type = serializers.ChoiceField(list(PRICE_KINDS))
    billing_model = serializers.ChoiceField(["FLAT_FEE", "PACKAGE", "TIERED"])
    billing_period = serializers.ChoiceField(list(PERIODS))
    billing_period_count = serializers.IntegerField(min_value=1, max_value=1000, default=1)
    invoice_cadence = serializers.ChoiceField(list(CADENCES), default="ARREAR")
    price_unit_type = serializers.ChoiceField(["FIAT"], default="FIAT")
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z")
    amount = AmountIn(required=False, allow_null=True)
    meter_id = TextField(64, allow_null=True)
    display_name = TextField(allow_null=True)
    lookup_key = TextField(allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)
    min_quantity = serializers.IntegerField(min_value=0, max_value=10**15, required=False, allow_null=True)
    tier_mode = serializers.ChoiceField(["VOLUME", "SLAB"], required=False, allow_null=True)
    tiers = TierIn(many=True, required=False, allow_null=True)
    transform_quantity = TransformIn(required=False, allow_null=True)
    trial_period_days = serializers.IntegerField(min_value=0, max_value=3650, required=False)

    def validate_tiers(self, given: Any) -> Any:
        return _rising(given)

    def validate(self, attrs: Any) -> Any:
        model, usage = attrs["billing_model"], attrs["type"] == "USAGE"
        wrong = {}
        if usage and not attrs.get("meter_id"):
            wrong["meter_id"] = "A usage price needs the meter it prices."
        if not usage and model != "FLAT_FEE":
            wrong["billing_model"] = "A recurring fee is a FLAT_FEE."
        if usage and attrs["invoice_cadence"] == "ADVANCE":
            wrong["invoice_cadence"] = "Usage can only be invoiced in arrears: ARREAR."
        if model != "TIERED" and attrs.get("amount") is None:
            wrong["amount"] = "This field is required."
        if model == "TIERED" and not (attrs.get("tiers") and attrs.get("tier_mode")):
            wrong["tiers"] = "A tiered price needs tiers and a tier_mode."
        if model == "PACKAGE" and not attrs.get("transform_quantity"):
            wrong["transform_quantity"] = "A package price needs its size, as divide_by."
        if wrong:
            raise Invalid(wrong)
        return attrs


def price_terms(asked: dict[str, Any], feature: Any) -> PriceTerms:
    """Bring a price's body into columns and tiers."""
    usage, model = asked["type"] == "USAGE", asked["billing_model"]
    tiered = {"VOLUME": PriceModel.VOLUME, "SLAB": PriceModel.GRADUATED}
    models = {
        "FLAT_FEE": PriceModel.PER_UNIT if usage else PriceModel.FLAT,
        "PACKAGE": PriceModel.PACKAGE,
        "TIERED": tiered.get(asked.get("tier_mode") or ""),
    }
    columns = _shared_columns(asked) | {
        "kind": PRICE_KINDS[asked["type"]],
        "feature": feature,
        "model": models[model],
        "currency": asked["currency"].upper(),
        "interval": PERIODS[asked["billing_period"]],
        "interval_count": asked["billing_period_count"],
        "cadence": CADENCES[asked["invoice_cadence"]],
        "unit_amount": None if model == "TIERED" else asked["amount"],
        "charge_at_zero": False,
    }
    if asked.get("min_quantity") is not None and columns["kind"] == PriceKind.FIXED:
        columns |= {"quantity": Decimal(asked["min_quantity"]), "model": PriceModel.PER_UNIT}
    tiers = tiers_of(asked.get("tiers")) if model == "TIERED" else None
    return PriceTerms(columns, tiers, asked.get("trial_period_days"))


def tiers_of(given: Any) -> list[Tier] | None:
    if given is None:
        return None
    return [
        Tier(
            None if one.get("up_to") is None else Decimal(one["up_to"]),
            one["unit_amount"],
            one.get("flat_amount") or Decimal(0),
        )
        for one in given
    ]


def _rising(tiers: Any) -> Any:
    """Refuse tiers that don't rise to an open one: sorted silently, a slip would price something else."""
    bounds = [tier.get("up_to") for tier in tiers or []]
    if bounds and (bounds[-1] is not None or None in bounds[:-1] or bounds[:-1] != sorted(set(bounds[:-1]))):
        raise serializers.ValidationError("Write the tiers by rising up_to, the last one with up_to null.")
    return tiers


def _shared_columns(asked: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if asked.get("amount") is not None:
        columns["unit_amount"] = asked["amount"]
    if asked.get("display_name") is not None:
        columns["name"] = asked["display_name"]
    if "lookup_key" in asked:
        columns["key"] = asked["lookup_key"] or None
    if asked.get("metadata") is not None:
        columns["metadata"] = asked["metadata"]
    if package := asked.get("transform_quantity"):
        columns |= {"package_size": Decimal(package["divide_by"]), "package_rounding": package["round"]}
    return columns


class PricesIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=PriceIn(), min_length=1, max_length=100)


class EntitlementChange(serializers.Serializer[Any]):
    """What to change of an entitlement, in the plan's draft. `usage_limit` null is unlimited."""

    is_enabled = serializers.BooleanField(required=False)
    is_soft_limit = serializers.BooleanField(required=False)
    usage_limit = serializers.IntegerField(min_value=0, max_value=10**18, required=False, allow_null=True)
    usage_reset_period = serializers.ChoiceField(
        [*ENTITLEMENT_RESETS, *OTHER_RESETS], required=False, allow_null=True, allow_blank=True
    )
    static_value = TextField(allow_null=True)


class EntitlementIn(EntitlementChange):
    """What a plan grants of a feature. It goes into the plan's draft."""

    plan_id = TextField(64, allow_null=True)
    entity_type = serializers.ChoiceField(["PLAN"], default="PLAN", help_text="Only plans grant features here.")
    entity_id = TextField(64, allow_null=True)
    feature_id = serializers.CharField(max_length=64)
    feature_type = serializers.ChoiceField(["metered", "boolean", "static"], required=False)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("plan_id") or attrs.get("entity_id")):
            raise Invalid({"plan_id": "This field is required."})
        return attrs


class EntitlementsIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=EntitlementIn(), min_length=1, max_length=100)


def entitlement_columns(asked: dict[str, Any]) -> dict[str, Any]:
    """Bring an entitlement's body into columns."""
    columns: dict[str, Any] = {name: asked[name] for name in ("is_enabled", "is_soft_limit") if name in asked}
    if "usage_limit" in asked:
        columns["free_units"] = None if asked["usage_limit"] is None else Decimal(asked["usage_limit"])
    if "usage_reset_period" in asked:
        columns["reset"] = ENTITLEMENT_RESETS.get(asked["usage_reset_period"] or "", EntitlementReset.PERIOD)
    if asked.get("static_value") is not None:
        columns["static_value"] = asked["static_value"]
    return columns
