"""Features and their meters in answers."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import (
    AGGREGATIONS,
    RESETS,
)
from catalog.api.serializers.fields import StatusField
from catalog.models import Feature
from config.api.contract import ContractAnswer, ContractRecord
from config.api.fields import MetadataField, name_of, plain

FILTER_VALUES = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), allow_null=True)


class FilterOut(serializers.Serializer[Any]):
    key = serializers.CharField()
    values = serializers.ListField(child=serializers.CharField())


class AggregationOut(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = ("bucket_size", "expression", "group_by")

    type = serializers.ChoiceField(list(AGGREGATIONS))
    field = serializers.CharField()
    multiplier = serializers.CharField(allow_null=True)


class MeterOut(ContractRecord):
    """How the events of a metered feature are aggregated. A meter has the id of its feature."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    event_name = serializers.CharField()
    aggregation = serializers.SerializerMethodField()
    filters = serializers.SerializerMethodField()
    excluded_filters = serializers.SerializerMethodField(help_text="Events that match all of these don't count.")
    reset_usage = serializers.SerializerMethodField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(AggregationOut)
    def get_aggregation(self, feature: Feature) -> dict[str, Any]:
        multiplier = None if feature.multiplier is None else plain(feature.multiplier)
        kind = name_of(AGGREGATIONS, feature.aggregation)
        return {
            "type": kind,
            "field": feature.field,
            "multiplier": multiplier,
            **dict.fromkeys(AggregationOut.nulls),
        }

    @extend_schema_field(FilterOut(many=True))
    def get_filters(self, feature: Feature) -> list[dict[str, Any]]:
        return _write_filters(feature.filters)

    @extend_schema_field(FilterOut(many=True))
    def get_excluded_filters(self, feature: Feature) -> list[dict[str, Any]]:
        return _write_filters(feature.excluded)

    @extend_schema_field(serializers.ChoiceField(list(RESETS)))
    def get_reset_usage(self, feature: Feature) -> str | None:
        return name_of(RESETS, feature.reset)


def _write_filters(filters: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "values": [_text(value) for value in (values if isinstance(values, list) else [values])]}
        for key, values in filters.items()
    ]


def filter_values_of(feature: Feature | None) -> dict[str, list[str]] | None:
    """Return which values a price by value charges, in the words of the API; None for another feature."""
    if feature is None or not feature.variant_of_id:
        return None
    return {feature.variant_property: [] if feature.counts_other_values else feature.variant_values}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class FeatureOut(ContractRecord):
    """A feature that customers use."""

    nulls: ClassVar[tuple[str, ...]] = ("alert_settings", "group", "group_id", "reporting_unit")

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    lookup_key = serializers.CharField(source="key", allow_null=True)
    description = serializers.CharField()
    type = serializers.ChoiceField(["metered", "boolean", "static"], source="kind")
    unit_singular = serializers.CharField()
    unit_plural = serializers.CharField()
    accept_numeric_strings = serializers.BooleanField()
    field_aliases = serializers.ListField(child=serializers.CharField())
    metadata = MetadataField()
    variant_of = serializers.CharField(
        source="variant_of.public_id",
        default=None,
        allow_null=True,
        help_text="Of a feature with the price of certain values: the feature that counts all values.",
    )
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
