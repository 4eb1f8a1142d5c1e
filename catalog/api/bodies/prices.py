"""Request bodies that change prices, and their translation into columns and tiers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from catalog.agreed.content import OF_PERCENTAGES
from catalog.api.bodies.shared import PLANS_ONLY, VERSIONED, Invalid
from catalog.api.names import CADENCES, ENTITY_TYPES, PERIODS, PRICE_KINDS, billing_model_of
from catalog.drafting import PriceTerms, Tier
from catalog.models import Price
from catalog.models.prices import Every, PriceKind, PriceModel
from config.api.fields import MetadataField, NumberIn, TextField
from config.api.unknown_names import Unused


class AmountIn(NumberIn):
    """A price: 0 or more, with up to twelve decimals, as a string or a number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=30, decimal_places=12, min_value=Decimal(0), **kwargs)


class LimitIn(NumberIn):
    """An amount per billing period: 0 or more, with up to four decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_digits=24, decimal_places=4, min_value=Decimal(0), required=False, allow_null=True, **kwargs
        )


class TierIn(serializers.Serializer[Any]):
    """A tier. `rate_percent` instead of `unit_amount` makes the price a graduated percentage."""

    up_to = serializers.IntegerField(min_value=1, max_value=10**18, required=False, allow_null=True)
    unit_amount = AmountIn(required=False, allow_null=True)
    flat_amount = AmountIn(required=False, allow_null=True)
    rate_percent = AmountIn(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if (attrs.get("unit_amount") is None) == (attrs.get("rate_percent") is None):
            raise Invalid({"unit_amount": "Specify either unit_amount or rate_percent."})
        return attrs


class QuantityIn(NumberIn):
    """A quantity: 0 or more, with up to six decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_digits=21, decimal_places=6, min_value=Decimal(0), required=False, allow_null=True, **kwargs
        )


class TransformIn(serializers.Serializer[Any]):
    divide_by = serializers.IntegerField(min_value=1, max_value=10**15)
    round = serializers.ChoiceField(["up", "down"], default="up")


PROPERTY = serializers.CharField(max_length=255, trim_whitespace=False)
# The API's names of the pricing models. A TIERED price's model depends on its tier_mode and tiers.
BILLING_MODELS = {
    "FLAT_FEE": PriceModel.PER_UNIT,
    "PACKAGE": PriceModel.PACKAGE,
    "TIERED": PriceModel.GRADUATED,
    "PERCENTAGE": PriceModel.PERCENTAGE,
}
LIMITS = ("minimum_amount", "minimum_quantity", "maximum_amount", "quantity_minimum", "quantity_maximum")
UNUSED_OF_PRICES = {
    "bucket_size": Unused("Bucketed prices aren't supported. Usage is priced over the whole period."),
    "group_id": Unused("Prices have no groups. Use metadata."),
}


def check_tiers(tiers: Any) -> Any:
    """Refuse unsorted tiers: if they were sorted automatically, a typing error would change the price."""
    bounds = [tier.get("up_to") for tier in tiers or []]
    if bounds and (bounds[-1] is not None or None in bounds[:-1] or bounds[:-1] != sorted(set(bounds[:-1]))):
        raise Invalid("Sort the tiers by ascending up_to. The last tier's up_to must be null.")
    if len({tier.get("rate_percent") is None for tier in tiers or []}) > 1:
        raise Invalid("Either all tiers have a rate_percent, or none.")
    return tiers


class PriceFields(serializers.Serializer[Any]):
    """The fields that new and changed prices share."""

    rate_percent = AmountIn(required=False, allow_null=True, help_text="Percent of each event's value.")
    fixed_amount_per_event = AmountIn(required=False, allow_null=True)
    free_events = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    free_amount = AmountIn(required=False, allow_null=True, help_text="Free value per billing period.")
    per_event_minimum = AmountIn(required=False, allow_null=True)
    per_event_maximum = AmountIn(required=False, allow_null=True)
    quantity_minimum = QuantityIn(help_text="The smallest quantity of a fee that can be agreed with a customer.")
    quantity_maximum = QuantityIn(help_text="The largest quantity of a fee that can be agreed with a customer.")
    lookup_key = TextField(allow_null=True)
    description = TextField(10_000, allow_null=True)
    minimum_amount = LimitIn(help_text="The least that a usage price charges per billing period.")
    minimum_quantity = QuantityIn(
        help_text="The least that a usage price charges per billing period, as a quantity after free units."
    )
    maximum_amount = LimitIn(help_text="The most that a usage price charges per billing period.")

    def validate_tiers(self, tiers: Any) -> Any:
        return check_tiers(tiers)


class PriceChange(PriceFields):
    """The fields to change in the plan's draft; the others keep their values."""

    unused: ClassVar[dict[str, Unused]] = UNUSED_OF_PRICES | {
        "billing_model": Unused("A price's model can't be changed. Delete the price and create a new one."),
        "tier_mode": Unused("A price's tier mode can't be changed. Delete the price and create a new one."),
        "effective_from": Unused(VERSIONED),
        "filter_values": Unused("A price's values can't be changed. Delete the price and create a new one."),
        "price_unit_amount": Unused("Only prices in a currency are supported."),
        "price_unit_tiers": Unused("Only prices in a currency are supported."),
    }

    amount = AmountIn(required=False)
    display_name = TextField()
    metadata = MetadataField(required=False)
    tiers = TierIn(many=True, required=False)
    transform_quantity = TransformIn(required=False)


class PriceIn(PriceFields):
    """A new price, added to the plan's draft. The plan's next subscription publishes the draft."""

    unused: ClassVar[dict[str, Unused]] = UNUSED_OF_PRICES | {
        "billing_cadence": Unused("Prices recur.", ("RECURRING",)),
        "start_date": Unused(VERSIONED),
        "end_date": Unused(VERSIONED),
        "parent_price_id": Unused(PLANS_ONLY),
        "price_unit_config": Unused("Only prices in a currency are supported."),
        "quantity": Unused("Use min_quantity for the quantity of a fee."),
        "commitment_quantity": Unused("Use minimum_quantity, the least that the price charges as a quantity."),
        "commitment_amount": Unused("Use minimum_amount, the least that the price charges per billing period."),
    }

    entity_type = serializers.ChoiceField(list(ENTITY_TYPES), default="PLAN")
    entity_id = serializers.CharField(max_length=64, help_text="The plan's or add-on's id.")
    type = serializers.ChoiceField(list(PRICE_KINDS))
    billing_model = serializers.ChoiceField(list(BILLING_MODELS))
    billing_period = serializers.ChoiceField(list(PERIODS))
    billing_period_count = serializers.IntegerField(min_value=1, max_value=1000, default=1)
    subscription_billing_period = serializers.ChoiceField(
        list(PERIODS),
        required=False,
        allow_null=True,
        help_text="Of a FIXED price: the billing period of the subscriptions that pay it, if it is shorter than "
        "billing_period. MONTHLY for an annual fee of monthly subscriptions.",
    )
    invoice_cadence = serializers.ChoiceField(list(CADENCES), default="ARREAR")
    price_unit_type = serializers.ChoiceField(["FIAT"], default="FIAT")
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z")
    amount = AmountIn(required=False, allow_null=True)
    meter_id = TextField(64, allow_null=True)
    filter_values = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(max_length=255), max_length=1000),
        required=False,
        allow_null=True,
        help_text="Of a USAGE price: charge only events with these values of a property. An empty list is all values "
        "that have no price. The answer's `meter_id` is the meter of these events.",
    )
    display_name = TextField(allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)
    min_quantity = serializers.IntegerField(min_value=0, max_value=10**15, required=False, allow_null=True)
    tier_mode = serializers.ChoiceField(["VOLUME", "SLAB"], required=False, allow_null=True)
    tiers = TierIn(many=True, required=False, allow_null=True)
    transform_quantity = TransformIn(required=False, allow_null=True)
    trial_period_days = serializers.IntegerField(min_value=0, max_value=3650, required=False)

    def validate_filter_values(self, values: Any) -> Any:
        if len(values or {}) > 1:
            raise Invalid("A price depends on the values of one property.")
        return {PROPERTY.run_validation(name): chosen for name, chosen in (values or {}).items()}

    def validate(self, attrs: Any) -> Any:
        model, usage = attrs["billing_model"], attrs["type"] == "USAGE"
        wrong = {}
        if usage and not attrs.get("meter_id"):
            wrong["meter_id"] = "This field is required for a usage price."
        if not usage and model != "FLAT_FEE":
            wrong["billing_model"] = "A FIXED price must be a FLAT_FEE."
        if usage and attrs["invoice_cadence"] == "ADVANCE":
            wrong["invoice_cadence"] = "A usage price must be invoiced in arrears. Use ARREAR."
        if model in ("FLAT_FEE", "PACKAGE") and attrs.get("amount") is None:
            wrong["amount"] = "This field is required."
        if model == "TIERED" and not (attrs.get("tiers") and attrs.get("tier_mode")):
            wrong["tiers"] = "A TIERED price requires tiers and tier_mode."
        if model == "PERCENTAGE" and attrs.get("rate_percent") is None:
            wrong["rate_percent"] = "This field is required for a PERCENTAGE price."
        if attrs.get("tier_mode") == "VOLUME" and has_rates(attrs):
            wrong["tier_mode"] = "Tiers with a rate_percent are graduated. Use SLAB."
        if model == "PACKAGE" and not attrs.get("transform_quantity"):
            wrong["transform_quantity"] = "A PACKAGE price requires transform_quantity with divide_by."
        if wrong := wrong | wrong_interval(attrs) | unused_by(model, attrs):
            raise Invalid(wrong)
        return attrs


def unused_by(model: str, attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that another model or kind of price would use, each with the reason against it."""
    of_tiers, of_packages = "Only allowed for a TIERED price.", "Only allowed for a PACKAGE price."
    of_percentages = "Only allowed for a PERCENTAGE price."
    reasons = {} if model == "TIERED" else {"tiers": of_tiers, "tier_mode": of_tiers}
    if model == "TIERED":
        reasons["amount"] = "A TIERED price has no amount of its own. Use unit_amount and flat_amount of its tiers."
    if model == "PERCENTAGE":
        reasons["amount"] = "A PERCENTAGE price has no amount of its own. Use rate_percent."
    else:
        reasons |= dict.fromkeys(OF_PERCENTAGES, of_percentages)
    if model == "PERCENTAGE":
        reasons["minimum_quantity"] = "A PERCENTAGE price has no minimum quantity. Use minimum_amount."
    if model != "PACKAGE":
        reasons["transform_quantity"] = of_packages
    if attrs["type"] == "USAGE":
        reasons |= {
            "min_quantity": "Only allowed for a FIXED price.",
            "trial_period_days": "Only allowed for a FIXED price.",
            "quantity_minimum": "Only allowed for a FIXED price.",
            "quantity_maximum": "Only allowed for a FIXED price.",
            "subscription_billing_period": "Only allowed for a FIXED price.",
        }
    else:
        reasons |= dict.fromkeys(("meter_id", "filter_values"), "Only allowed for a USAGE price.")
        reasons |= dict.fromkeys(
            ("minimum_amount", "minimum_quantity", "maximum_amount"), "Only allowed for a USAGE price."
        )
    return {name: reason for name, reason in reasons.items() if attrs.get(name)}


def refuse_unused(price: Price, body: Mapping[str, Any]) -> None:
    """Refuse a change of fields that the price's model and kind don't use."""
    model = billing_model_of(price)
    kind = "USAGE" if price.kind == PriceKind.USAGE else "FIXED"
    if wrong := unused_by(model, {**body, "type": kind}):
        raise Invalid(wrong)


def price_terms(body: dict[str, Any], feature: Any) -> PriceTerms:
    """Translate a new price's body into columns and tiers."""
    usage, model = body["type"] == "USAGE", body["billing_model"]
    columns = price_columns(body) | {
        "kind": PRICE_KINDS[body["type"]],
        "feature": feature,
        "model": model_of(body, is_usage=usage),
        "currency": body["currency"].upper(),
        **_interval_columns(body),
        "cadence": CADENCES[body["invoice_cadence"]],
        "unit_amount": body["amount"] if model in ("FLAT_FEE", "PACKAGE") else None,
        "charge_at_zero": False,
    }
    if body.get("min_quantity") is not None and columns["kind"] == PriceKind.FIXED:
        columns |= {"quantity": Decimal(body["min_quantity"]), "model": PriceModel.PER_UNIT}
    tiers = tiers_of(body.get("tiers")) if model == "TIERED" else None
    return PriceTerms(columns, tiers, body.get("trial_period_days"))


def covered_periods(body: Mapping[str, Any]) -> int | None:
    """Return how many billing periods of its subscriptions a price covers, None if that isn't a whole number."""
    if not body.get("subscription_billing_period"):
        return 1
    own = Every(PERIODS[body["billing_period"]], body["billing_period_count"])
    return Every(PERIODS[body["subscription_billing_period"]]).times_in(own)


def wrong_interval(body: Mapping[str, Any]) -> dict[str, str]:
    if covered_periods(body) is None:
        return {"subscription_billing_period": "billing_period must be a multiple of it."}
    return {}


def _interval_columns(body: Mapping[str, Any]) -> dict[str, Any]:
    if not body.get("subscription_billing_period"):
        return {"interval": PERIODS[body["billing_period"]], "interval_count": body["billing_period_count"]}
    return {"interval": PERIODS[body["subscription_billing_period"]], "periods": covered_periods(body)}


def price_change_terms(body: dict[str, Any]) -> PriceTerms:
    """Translate a changed price's body into columns and tiers."""
    return PriceTerms(price_columns(body), tiers_of(body.get("tiers")))


def model_of(body: Mapping[str, Any], *, is_usage: bool) -> PriceModel:
    """Return the pricing model that a body describes."""
    if body["billing_model"] == "TIERED":
        if has_rates(body):
            return PriceModel.GRADUATED_PERCENTAGE
        return PriceModel.VOLUME if body.get("tier_mode") == "VOLUME" else PriceModel.GRADUATED
    if body["billing_model"] == "FLAT_FEE":
        return PriceModel.PER_UNIT if is_usage else PriceModel.FLAT
    return BILLING_MODELS[body["billing_model"]]


def has_rates(body: Mapping[str, Any]) -> bool:
    """Return whether the tiers of a body have percentages instead of amounts."""
    return any(tier.get("rate_percent") is not None for tier in body.get("tiers") or [])


def tiers_of(tiers: Any) -> list[Tier] | None:
    if tiers is None:
        return None
    return [
        Tier(
            None if tier.get("up_to") is None else Decimal(tier["up_to"]),
            tier.get("unit_amount") or Decimal(0),
            tier.get("flat_amount") or Decimal(0),
            tier.get("rate_percent") or Decimal(0),
        )
        for tier in tiers
    ]


def price_columns(body: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if body.get("amount") is not None:
        columns["unit_amount"] = body["amount"]
    if body.get("display_name") is not None:
        columns["name"] = body["display_name"]
    if "lookup_key" in body:
        columns["key"] = body["lookup_key"] or None
    if body.get("metadata") is not None:
        columns["metadata"] = body["metadata"]
    if "description" in body:
        columns["description"] = body["description"] or ""
    columns |= {name: body[name] for name in (*LIMITS, *OF_PERCENTAGES) if name in body}
    if package := body.get("transform_quantity"):
        columns |= {"package_size": Decimal(package["divide_by"]), "package_rounding": package["round"]}
    return columns


class PriceRemoval(serializers.Serializer[Any]):
    """A price is deleted from the plan's draft. Subscriptions keep their plan version."""

    unused: ClassVar[dict[str, Unused]] = {"end_date": Unused(VERSIONED)}


class PricesIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=PriceIn(), min_length=1, max_length=100)
