"""Request bodies that change the catalog, and their translation into columns."""

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
UNSUPPORTED = ("expression", "bucket_size", "group_by")


class AmountIn(serializers.DecimalField):
    """A price: 0 or more, with up to twelve decimals, as a string or a number."""

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
        if isinstance(data, dict) and (unsupported := [name for name in UNSUPPORTED if data.get(name)]):
            raise Invalid(dict.fromkeys(unsupported, "This field isn't supported."))
        return super().to_internal_value(data)


class MeterIn(serializers.Serializer[Any]):
    name = TextField()
    event_name = serializers.CharField(max_length=255)
    aggregation = AggregationIn()
    reset_usage = serializers.ChoiceField(list(RESETS), default="BILLING_PERIOD")
    filters = FilterIn(many=True, required=False, allow_null=True)


class FeatureFields(serializers.Serializer[Any]):
    """The fields that new and changed features share."""

    description = TextField(10_000)
    unit_singular = TextField(64)
    unit_plural = TextField(64)
    accept_numeric_strings = serializers.BooleanField(required=False)


class FeatureIn(FeatureFields):
    """A new feature. A metered feature needs a meter."""

    name = serializers.CharField(max_length=255)
    type = serializers.ChoiceField(["metered", "boolean", "static"])
    lookup_key = TextField(allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)
    meter = MeterIn(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if attrs["type"] == FeatureKind.METERED and not attrs.get("meter"):
            raise Invalid({"meter": "This field is required for a metered feature."})
        return attrs


class FeatureChange(FeatureFields):
    """The fields to change; the others keep their values."""

    name = serializers.CharField(max_length=255, required=False)
    metadata = MetadataField(required=False)
    filters = FilterIn(many=True, required=False)


class PlanIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=255)
    lookup_key = TextField(allow_null=True)
    description = TextField(10_000)
    display_order = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    metadata = MetadataField(required=False, allow_null=True)


class PlanChange(PlanIn):
    name = serializers.CharField(max_length=255, required=False)


class CloneIn(PlanIn):
    """The fields of the copy that differ. A new name is required."""

    metadata = MetadataField(required=False)


def meter_columns(meter: dict[str, Any]) -> dict[str, Any]:
    """Translate a meter into a feature's columns."""
    aggregation = meter["aggregation"]
    return {
        "event_name": meter["event_name"],
        "aggregation": AGGREGATIONS[aggregation["type"]],
        "field": "" if aggregation["type"] == "COUNT" else aggregation.get("field") or "",
        "multiplier": aggregation.get("multiplier") if aggregation["type"] == "SUM_WITH_MULTIPLIER" else None,
        "reset": RESETS[meter["reset_usage"]],
        "filters": filters_of(meter.get("filters") or []),
    }


def filters_of(filters: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {item["key"]: item["values"] for item in filters}


def shared_columns(body: dict[str, Any]) -> dict[str, Any]:
    """Translate the fields that features and plans share. A blank lookup key becomes null."""
    names = ("name", "description", "unit_singular", "unit_plural", "accept_numeric_strings", "display_order")
    columns = {name: body[name] for name in names if name in body}
    if body.get("metadata") is not None:
        columns["metadata"] = body["metadata"]
    if "lookup_key" in body:
        columns["key"] = body["lookup_key"] or None
    return columns


class TierIn(serializers.Serializer[Any]):
    up_to = serializers.IntegerField(min_value=1, max_value=10**18, required=False, allow_null=True)
    unit_amount = AmountIn()
    flat_amount = AmountIn(required=False, allow_null=True)


class TransformIn(serializers.Serializer[Any]):
    divide_by = serializers.IntegerField(min_value=1, max_value=10**15)
    round = serializers.ChoiceField(["up", "down"], default="up")


class PriceFields(serializers.Serializer[Any]):
    """The fields that new and changed prices share."""

    lookup_key = TextField(allow_null=True)

    def validate_tiers(self, tiers: Any) -> Any:
        """Refuse unsorted tiers: if they were sorted automatically, a typing error would change the price."""
        bounds = [tier.get("up_to") for tier in tiers or []]
        if bounds and (bounds[-1] is not None or None in bounds[:-1] or bounds[:-1] != sorted(set(bounds[:-1]))):
            raise Invalid("Sort the tiers by ascending up_to. The last tier's up_to must be null.")
        return tiers


class PriceChange(PriceFields):
    """The fields to change in the plan's draft; the others keep their values."""

    amount = AmountIn(required=False)
    display_name = TextField()
    metadata = MetadataField(required=False)
    tiers = TierIn(many=True, required=False)
    transform_quantity = TransformIn(required=False)


class PriceIn(PriceFields):
    """A new price, added to the plan's draft. The plan's next subscription publishes the draft."""

    entity_type = serializers.ChoiceField(["PLAN"], default="PLAN", help_text="Prices belong to plans.")
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
    metadata = MetadataField(required=False, allow_null=True)
    min_quantity = serializers.IntegerField(min_value=0, max_value=10**15, required=False, allow_null=True)
    tier_mode = serializers.ChoiceField(["VOLUME", "SLAB"], required=False, allow_null=True)
    tiers = TierIn(many=True, required=False, allow_null=True)
    transform_quantity = TransformIn(required=False, allow_null=True)
    trial_period_days = serializers.IntegerField(min_value=0, max_value=3650, required=False)

    def validate(self, attrs: Any) -> Any:
        model, usage = attrs["billing_model"], attrs["type"] == "USAGE"
        wrong = {}
        if usage and not attrs.get("meter_id"):
            wrong["meter_id"] = "This field is required for a usage price."
        if not usage and model != "FLAT_FEE":
            wrong["billing_model"] = "A FIXED price must be a FLAT_FEE."
        if usage and attrs["invoice_cadence"] == "ADVANCE":
            wrong["invoice_cadence"] = "A usage price must be invoiced in arrears. Use ARREAR."
        if model != "TIERED" and attrs.get("amount") is None:
            wrong["amount"] = "This field is required."
        if model == "TIERED" and not (attrs.get("tiers") and attrs.get("tier_mode")):
            wrong["tiers"] = "A TIERED price requires tiers and tier_mode."
        if model == "PACKAGE" and not attrs.get("transform_quantity"):
            wrong["transform_quantity"] = "A PACKAGE price requires transform_quantity with divide_by."
        if wrong:
            raise Invalid(wrong)
        return attrs


def price_terms(body: dict[str, Any], feature: Any) -> PriceTerms:
    """Translate a new price's body into columns and tiers."""
    usage, model = body["type"] == "USAGE", body["billing_model"]
    tiered = {"VOLUME": PriceModel.VOLUME, "SLAB": PriceModel.GRADUATED}
    models = {
        "FLAT_FEE": PriceModel.PER_UNIT if usage else PriceModel.FLAT,
        "PACKAGE": PriceModel.PACKAGE,
        "TIERED": tiered.get(body.get("tier_mode") or ""),
    }
    columns = _price_columns(body) | {
        "kind": PRICE_KINDS[body["type"]],
        "feature": feature,
        "model": models[model],
        "currency": body["currency"].upper(),
        "interval": PERIODS[body["billing_period"]],
        "interval_count": body["billing_period_count"],
        "cadence": CADENCES[body["invoice_cadence"]],
        "unit_amount": None if model == "TIERED" else body["amount"],
        "charge_at_zero": False,
    }
    if body.get("min_quantity") is not None and columns["kind"] == PriceKind.FIXED:
        columns |= {"quantity": Decimal(body["min_quantity"]), "model": PriceModel.PER_UNIT}
    tiers = _tiers_of(body.get("tiers")) if model == "TIERED" else None
    return PriceTerms(columns, tiers, body.get("trial_period_days"))


def price_change_terms(body: dict[str, Any]) -> PriceTerms:
    """Translate a changed price's body into columns and tiers."""
    return PriceTerms(_price_columns(body), _tiers_of(body.get("tiers")))


def _tiers_of(tiers: Any) -> list[Tier] | None:
    if tiers is None:
        return None
    return [
        Tier(
            None if tier.get("up_to") is None else Decimal(tier["up_to"]),
            tier["unit_amount"],
            tier.get("flat_amount") or Decimal(0),
        )
        for tier in tiers
    ]


def _price_columns(body: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if body.get("amount") is not None:
        columns["unit_amount"] = body["amount"]
    if body.get("display_name") is not None:
        columns["name"] = body["display_name"]
    if "lookup_key" in body:
        columns["key"] = body["lookup_key"] or None
    if body.get("metadata") is not None:
        columns["metadata"] = body["metadata"]
    if package := body.get("transform_quantity"):
        columns |= {"package_size": Decimal(package["divide_by"]), "package_rounding": package["round"]}
    return columns


class PricesIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=PriceIn(), min_length=1, max_length=100)


class EntitlementChange(serializers.Serializer[Any]):
    """The fields to change in the plan's draft. A null `usage_limit` is unlimited."""

    is_enabled = serializers.BooleanField(required=False)
    is_soft_limit = serializers.BooleanField(required=False)
    usage_limit = serializers.IntegerField(min_value=0, max_value=10**18, required=False, allow_null=True)
    usage_reset_period = serializers.ChoiceField(
        [*ENTITLEMENT_RESETS, *OTHER_RESETS], required=False, allow_null=True, allow_blank=True
    )
    static_value = TextField(allow_null=True)


class EntitlementIn(EntitlementChange):
    """A new entitlement, added to the plan's draft."""

    plan_id = TextField(64, allow_null=True)
    entity_type = serializers.ChoiceField(["PLAN"], default="PLAN", help_text="Entitlements belong to plans.")
    entity_id = TextField(64, allow_null=True)
    feature_id = serializers.CharField(max_length=64)
    feature_type = serializers.ChoiceField(["metered", "boolean", "static"], required=False)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("plan_id") or attrs.get("entity_id")):
            raise Invalid({"plan_id": "This field is required."})
        return attrs


class EntitlementsIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=EntitlementIn(), min_length=1, max_length=100)


def entitlement_columns(body: dict[str, Any]) -> dict[str, Any]:
    """Translate an entitlement's body into columns."""
    columns: dict[str, Any] = {name: body[name] for name in ("is_enabled", "is_soft_limit") if name in body}
    if "usage_limit" in body:
        columns["free_units"] = None if body["usage_limit"] is None else Decimal(body["usage_limit"])
    if "usage_reset_period" in body:
        columns["reset"] = ENTITLEMENT_RESETS.get(body["usage_reset_period"] or "", EntitlementReset.PERIOD)
    if body.get("static_value") is not None:
        columns["static_value"] = body["static_value"]
    return columns
