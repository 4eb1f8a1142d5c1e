"""Entitlements in answers."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import (
    ENTITLEMENT_RESETS,
    ENTITY_TYPES,
)
from catalog.api.serializers.features import FeatureOut
from catalog.models import Entitlement
from config.api.contract import ContractRecord
from config.api.fields import name_of


class EntitlementOut(ContractRecord):
    """A plan's or add-on's entitlement to a feature. A null `usage_limit` is unlimited."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("addon", "aggregation_mode", "config_value", "display_order", "end_date", "grant_allocation_behavior"),
        *("grant_duration_unit", "grant_duration_value", "grant_measure", "grant_quota", "parent_entitlement_id"),
        *("plan", "start_date"),
    )

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

    @extend_schema_field(serializers.ChoiceField(list(ENTITY_TYPES)))
    def get_entity_type(self, entitlement: Entitlement) -> str | None:
        return name_of(ENTITY_TYPES, entitlement.version.plan.kind)

    def get_status(self, entitlement: Entitlement) -> str:
        return "published"

    def get_usage_limit(self, entitlement: Entitlement) -> int | None:
        return None if entitlement.free_units is None else int(entitlement.free_units)

    @extend_schema_field(serializers.ChoiceField(list(ENTITLEMENT_RESETS), allow_null=True))
    def get_usage_reset_period(self, entitlement: Entitlement) -> str | None:
        return name_of(ENTITLEMENT_RESETS, entitlement.reset)


class Entitlements(serializers.Serializer[Any]):
    items = EntitlementOut(many=True)
