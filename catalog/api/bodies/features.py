"""Request bodies that change features, and their translation into columns."""

from typing import Any, ClassVar

from rest_framework import serializers

from catalog.api.bodies.shared import Invalid
from catalog.api.names import AGGREGATIONS, RESETS
from catalog.models.features import FeatureKind
from config.api.fields import MetadataField, NumberIn, TextField
from config.api.unknown_names import Unused


class FilterIn(serializers.Serializer[Any]):
    key = serializers.CharField(max_length=255)
    values = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=1000)


class AggregationIn(serializers.Serializer[Any]):
    type = serializers.ChoiceField(list(AGGREGATIONS))
    field = TextField(allow_null=True)
    multiplier = NumberIn(max_digits=60, decimal_places=20, required=False, allow_null=True)

    unused: ClassVar[dict[str, Unused]] = {
        "expression": Unused("Expressions aren't supported. Send the calculated value in a property, and use field."),
        "bucket_size": Unused("Bucketed aggregation isn't supported. Usage is aggregated over the whole period."),
        "group_by": Unused("Grouped aggregation isn't supported. Make a feature with filters for each group."),
    }

    def validate(self, attrs: Any) -> Any:
        if attrs.get("multiplier") is not None and attrs["type"] != "SUM_WITH_MULTIPLIER":
            raise Invalid({"multiplier": "Only allowed with the aggregation SUM_WITH_MULTIPLIER."})
        return attrs


class MeterIn(serializers.Serializer[Any]):
    name = TextField()
    event_name = serializers.CharField(max_length=255)
    aggregation = AggregationIn()
    reset_usage = serializers.ChoiceField(list(RESETS), default="BILLING_PERIOD")
    filters = FilterIn(many=True, required=False, allow_null=True)
    excluded_filters = FilterIn(
        many=True, required=False, allow_null=True, help_text="Events that match all of these don't count."
    )


class FeatureFields(serializers.Serializer[Any]):
    """The fields that new and changed features share."""

    description = TextField(10_000)
    unit_singular = TextField(64)
    unit_plural = TextField(64)
    accept_numeric_strings = serializers.BooleanField(required=False)
    field_aliases = serializers.ListField(
        child=serializers.CharField(max_length=255),
        required=False,
        max_length=20,
        help_text="Properties that are read, in this order, if the aggregation field is missing.",
    )

    unused: ClassVar[dict[str, Unused]] = {
        "alert_settings": Unused("Create a usage alert instead: POST /v1/alerts."),
        "group_id": Unused("Features have no groups. Use metadata."),
        "reporting_unit": Unused("Usage is reported in the feature's own unit. Use unit_singular and unit_plural."),
        "meter_id": Unused(
            "A meter belongs to one feature. Send meter, or copy a feature with POST /v1/features/{id}/clone."
        ),
    }


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
    excluded_filters = FilterIn(many=True, required=False, help_text="Events that match all of these don't count.")


def meter_columns(meter: dict[str, Any]) -> dict[str, Any]:
    """Translate a meter into a feature's columns."""
    aggregation = meter["aggregation"]
    return {
        "event_name": meter["event_name"],
        "aggregation": AGGREGATIONS[aggregation["type"]],
        "field": "" if aggregation["type"] == "COUNT" else aggregation.get("field") or "",
        "multiplier": aggregation.get("multiplier"),
        "reset": RESETS[meter["reset_usage"]],
        "filters": filters_of(meter.get("filters") or []),
        "excluded": filters_of(meter.get("excluded_filters") or []),
    }


def filters_of(filters: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {item["key"]: item["values"] for item in filters}
