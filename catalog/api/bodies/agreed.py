"""Request bodies of agreed terms, and their translation into edits."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from catalog.agreed import FreeTierEdit, PriceAddition, PriceEdit, QuantityEdit, TermsEdit
from catalog.api.bodies.entitlements import EntitlementChange, entitlement_columns
from catalog.api.bodies.prices import (
    BILLING_MODELS,
    UNUSED_OF_PRICES,
    AmountIn,
    LimitIn,
    PriceIn,
    QuantityIn,
    TierIn,
    TransformIn,
    check_tiers,
    has_rates,
    model_of,
    price_columns,
    tiers_of,
    unused_by,
)
from catalog.api.bodies.shared import Invalid
from catalog.api.names import billing_model_of
from catalog.models import Entitlement, Price
from catalog.models.prices import PriceKind
from config.api.fields import MetadataField, TextField
from config.api.unknown_names import Unused

ONLY_MINIMUMS = "A commitment is for a whole billing period. Use commitment_amount or commitment_quantity."
OTHER_COMMITMENTS: dict[str, Unused] = {
    "commitment_duration": Unused("A commitment is for the billing period of the price. Leave this field out."),
    "commitment_time_buckets": Unused(ONLY_MINIMUMS),
    "commitment_overage_factor": Unused("Usage above the commitment costs the price. Use 1.", (1, "1")),
    "commitment_true_up_enabled": Unused("The shortfall is always charged. Use true.", (True,)),
    "commitment_windowed": Unused(ONLY_MINIMUMS, (False,)),
}


class CommitmentFields(serializers.Serializer[Any]):
    """The least that a usage price charges per billing period: an amount, or the price of a quantity."""

    commitment_amount = LimitIn(help_text="The least that a usage price charges per billing period.")
    commitment_quantity = QuantityIn(help_text="The same as a quantity, after free units: the amount is its price.")
    commitment_type = serializers.ChoiceField(["amount", "quantity"], required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        """Translate the commitment into the price's minimum, of which it has one."""
        kind = attrs.pop("commitment_type", None)
        committed = {name: attrs.pop(f"commitment_{name}", None) for name in ("amount", "quantity")}
        given = [name for name, value in committed.items() if value is not None]
        if len(given) > 1:
            raise Invalid({"commitment_quantity": "Specify either commitment_amount or commitment_quantity."})
        if kind is not None and given != [kind]:
            raise Invalid({f"commitment_{kind}": f"This field is required for the commitment_type {kind}."})
        for name in given:
            minimum = f"minimum_{name}"
            if attrs.get(minimum) not in (None, committed[name]):
                raise Invalid({f"commitment_{name}": f"Specify either commitment_{name} or {minimum}."})
            attrs[minimum] = committed[name]
        return _with_one_minimum(attrs)


def _with_one_minimum(attrs: dict[str, Any]) -> dict[str, Any]:
    """Let a minimum replace the other kind of minimum, which the price may have."""
    amount, quantity = attrs.get("minimum_amount"), attrs.get("minimum_quantity")
    if amount is not None and quantity is not None:
        raise Invalid({"minimum_quantity": "Specify either minimum_amount or minimum_quantity."})
    if amount is not None:
        return attrs | {"minimum_quantity": None}
    return attrs | {"minimum_amount": None} if quantity is not None else attrs


class AgreedPriceFields(CommitmentFields):
    """What is agreed instead of a list price. Fields that are left out stay as they are."""

    unused: ClassVar[dict[str, Unused]] = (
        {"bucket_size": UNUSED_OF_PRICES["bucket_size"]}
        | dict.fromkeys(("price_unit_amount", "price_unit_tiers"), Unused("Only prices in a currency are supported."))
        | OTHER_COMMITMENTS
    )

    amount = AmountIn(required=False, allow_null=True)
    billing_model = serializers.ChoiceField(list(BILLING_MODELS), required=False, allow_null=True)
    tier_mode = serializers.ChoiceField(["VOLUME", "SLAB"], required=False, allow_null=True)
    tiers = TierIn(many=True, required=False, allow_null=True)
    transform_quantity = TransformIn(required=False, allow_null=True)
    quantity = QuantityIn(help_text="How many times a recurring fee is charged.")
    minimum_amount = LimitIn(help_text="The least that a usage price charges per billing period.")
    minimum_quantity = QuantityIn(help_text="The same as a quantity, after free units.")
    maximum_amount = LimitIn(help_text="The most that a usage price charges per billing period.")
    rate_percent = AmountIn(required=False, allow_null=True)
    fixed_amount_per_event = AmountIn(required=False, allow_null=True)
    free_events = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    free_amount = AmountIn(required=False, allow_null=True)
    per_event_minimum = AmountIn(required=False, allow_null=True)
    per_event_maximum = AmountIn(required=False, allow_null=True)

    def validate_tiers(self, tiers: Any) -> Any:
        return check_tiers(tiers)


class OverrideLineItemIn(AgreedPriceFields):
    """What is agreed instead of a price of the plan."""

    price_id = serializers.CharField(max_length=64, help_text="A price of the plan.")


class OverrideEntitlementIn(EntitlementChange):
    """What is agreed instead of an entitlement of the plan. `is_enabled` false excludes the feature."""

    entitlement_id = serializers.CharField(max_length=64, help_text="An entitlement of the plan.")


class AddedPriceIn(PriceIn):
    """A price that isn't in the plan. Its currency is the subscription's."""

    entity_type = None  # type: ignore[assignment]  # it belongs to the subscription
    entity_id = None  # type: ignore[assignment]
    currency = None  # type: ignore[assignment]
    metadata = MetadataField(required=False, allow_null=True)
    display_name = TextField(allow_null=True)


class AddedLineItemIn(CommitmentFields):
    """A price to pay in addition: a new one, or one of the plan that isn't charged."""

    unused: ClassVar[dict[str, Unused]] = OTHER_COMMITMENTS | {
        "metadata": Unused("A line item has no metadata. Use the subscription's metadata."),
        "display_name": Unused("Use price.display_name."),
        "subscription_phase_id": Unused("Use the dates of the phase."),
        "start_date": Unused("It applies from the start on. Use phases for another date."),
        "end_date": Unused("It applies until the end. Use phases for another date."),
    }

    price = AddedPriceIn(required=False, allow_null=True)
    price_id = TextField(64, allow_null=True)
    quantity = QuantityIn(help_text="How many times a recurring fee is charged.")

    def validate(self, attrs: Any) -> Any:
        attrs = super().validate(attrs)
        if bool(attrs.get("price")) == bool(attrs.get("price_id")):
            raise Invalid({"price": "Specify either price or price_id."})
        return attrs


class CommitmentIn(CommitmentFields):
    """The least that a usage price charges per billing period."""

    unused: ClassVar[dict[str, Unused]] = {
        "commitment_duration": OTHER_COMMITMENTS["commitment_duration"],
        "commitment_time_buckets": Unused(ONLY_MINIMUMS),
        "enable_true_up": Unused("The shortfall is always charged. Use true.", (True,)),
        "is_window_commitment": Unused(ONLY_MINIMUMS, (False,)),
        "overage_factor": Unused("Usage above the commitment costs the price. Use 1.", (1, "1")),
    }


def price_edits(price: Price, body: Mapping[str, Any]) -> list[TermsEdit]:
    """Translate what is agreed instead of a price. Raises the error of a field that the price doesn't use."""
    edits: list[TermsEdit] = []
    model = body.get("billing_model") or billing_model_of(price)
    kind = "USAGE" if price.kind == PriceKind.USAGE else "FIXED"
    named = {name: value for name, value in body.items() if name != "quantity" and value is not None}
    wrong = unused_by(model, named | {"type": kind})
    if kind == "FIXED" and model != "FLAT_FEE":
        wrong["billing_model"] = "A FIXED price must be a FLAT_FEE."
    if model == "TIERED" and body.get("billing_model") and not named.get("tiers"):
        wrong["tiers"] = "This field is required for a TIERED price."
    if model == "PACKAGE" and body.get("billing_model") and not named.get("transform_quantity"):
        wrong["transform_quantity"] = "This field is required for a PACKAGE price."
    if named.get("tier_mode") == "VOLUME" and has_rates(body):
        wrong["tier_mode"] = "Tiers with a rate_percent are graduated. Use SLAB."
    if wrong:
        raise Invalid(wrong)
    columns = price_columns(body)
    if body.get("billing_model") or named.get("tiers"):
        columns["model"] = _model(price, body, model)
    if columns:
        edits.append(PriceEdit(price, columns, tiers_of(body.get("tiers"))))
    if body.get("quantity") is not None:
        edits.append(QuantityEdit(price, body["quantity"]))
    return edits


def _model(price: Price, body: Mapping[str, Any], name: str) -> str:
    """Return the pricing model: that of the body, or the price's if only tiers are agreed."""
    if name == billing_model_of(price) and not body.get("tier_mode") and not has_rates(body):
        return price.model
    return model_of({**body, "billing_model": name}, is_usage=price.kind == PriceKind.USAGE)


def free_tier_edit(entitlement: Entitlement, body: Mapping[str, Any]) -> TermsEdit:
    """Translate what is agreed instead of an entitlement."""
    return FreeTierEdit(entitlement.feature, entitlement_columns(dict(body)))


def addition_of(columns: Mapping[str, Any], tiers: Any, quantity: Decimal | None = None) -> TermsEdit:
    """Return the edit that adds a price, charged so many times."""
    changed = {name: value for name, value in columns.items() if name not in ("key",)}
    if quantity is not None:
        changed["quantity"] = quantity
    return PriceAddition(changed, tuple(tiers or ()))
