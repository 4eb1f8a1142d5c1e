"""Request bodies that change entitlements, and their translation into columns."""

from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from catalog.api.bodies.shared import PLANS_ONLY, VERSIONED, Invalid
from catalog.api.names import ENTITLEMENT_RESETS, ENTITY_TYPES, OTHER_RESETS
from catalog.models import EntitlementReset
from config.api.fields import TextField
from config.api.unknown_names import Unused

NO_GRANTS = "Windowed grants aren't supported. Use usage_limit and usage_reset_period."


class EntitlementChange(serializers.Serializer[Any]):
    """The fields to change in the plan's draft. A null `usage_limit` is unlimited."""

    unused: ClassVar[dict[str, Unused]] = {
        "aggregation_mode": Unused("The limits of several subscriptions are added up.", ("additive",)),
        "config_value": Unused("Features of the type config aren't supported."),
        "grant_allocation_behavior": Unused(NO_GRANTS),
        "grant_duration_unit": Unused(NO_GRANTS),
        "grant_duration_value": Unused(NO_GRANTS),
        "grant_measure": Unused(NO_GRANTS),
        "grant_quota": Unused(NO_GRANTS),
        "grant_unlimited": Unused(NO_GRANTS, (False,)),
    }

    is_enabled = serializers.BooleanField(required=False)
    is_soft_limit = serializers.BooleanField(required=False)
    usage_limit = serializers.IntegerField(min_value=0, max_value=10**18, required=False, allow_null=True)
    usage_reset_period = serializers.ChoiceField(
        [*ENTITLEMENT_RESETS, *OTHER_RESETS], required=False, allow_null=True, allow_blank=True
    )
    static_value = TextField(allow_null=True)


class EntitlementIn(EntitlementChange):
    """A new entitlement, added to the plan's draft."""

    unused: ClassVar[dict[str, Unused]] = EntitlementChange.unused | {
        "start_date": Unused(VERSIONED),
        "end_date": Unused(VERSIONED),
        "parent_entitlement_id": Unused(PLANS_ONLY),
    }

    plan_id = TextField(64, allow_null=True)
    entity_type = serializers.ChoiceField(list(ENTITY_TYPES), default="PLAN")
    entity_id = TextField(64, allow_null=True)
    feature_id = serializers.CharField(max_length=64)
    feature_type = serializers.ChoiceField(["metered", "boolean", "static"], required=False)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("plan_id") or attrs.get("entity_id")):
            raise Invalid({"plan_id": "This field is required."})
        if attrs["entity_type"] == "ADDON" and not attrs.get("entity_id"):
            raise Invalid({"entity_id": "This field is required for an add-on."})
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
