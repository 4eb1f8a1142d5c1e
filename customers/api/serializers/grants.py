"""Entitlements granted to customers and subscriptions, in answers."""

from typing import Any, ClassVar

from rest_framework import serializers

from catalog.api.names import ENTITLEMENT_RESETS
from catalog.api.serializers.features import FeatureOut
from config.api.contract import ContractAnswer
from config.api.fields import (
    ComputedInteger,
    ComputedList,
    ComputedText,
    ConstantText,
    name_of,
)
from customers.grants import FeatureGrant, GrantSource


class GrantOut(ContractAnswer):
    """The combined entitlement of all sources. A null `usage_limit` is unlimited."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("aggregation_mode", "buckets", "config_values", "grant_duration_unit", "grant_duration_value"),
        *("grant_measure", "grant_quota", "grant_state", "grant_unlimited"),
    )

    is_enabled = serializers.BooleanField()
    is_soft_limit = serializers.BooleanField()
    usage_limit = ComputedInteger(allow_null=True)
    usage_reset_period = ComputedText(allow_null=True)
    static_values = ComputedList(child=serializers.CharField())

    def get_usage_limit(self, grant: FeatureGrant) -> int | None:
        return None if grant.limit is None else int(grant.limit)

    def get_usage_reset_period(self, grant: FeatureGrant) -> str | None:
        return name_of(ENTITLEMENT_RESETS, grant.reset)

    def get_static_values(self, grant: FeatureGrant) -> list[str]:
        return [source.entitlement.static_value for source in grant.sources if source.entitlement.static_value]


class SourceOut(ContractAnswer):
    """The entitlement that one subscription's plan grants."""

    nulls: ClassVar[tuple[str, ...]] = ("config_value",)

    entitlement_id = serializers.CharField(source="entitlement.public_id")
    subscription_id = serializers.CharField(source="subscription.public_id")
    entity_type = ConstantText("plan")
    entity_id = serializers.CharField(source="plan_id")
    entity_name = serializers.CharField(source="plan_name")
    is_enabled = serializers.BooleanField(source="entitlement.is_enabled")
    usage_limit = ComputedInteger(allow_null=True)
    usage_reset_period = ComputedText(allow_null=True)
    static_value = serializers.CharField(source="entitlement.static_value")
    quantity = ComputedInteger()

    def get_usage_limit(self, source: GrantSource) -> int | None:
        units = source.entitlement.free_units
        return None if units is None else int(units)

    def get_usage_reset_period(self, source: GrantSource) -> str | None:
        return name_of(ENTITLEMENT_RESETS, source.entitlement.reset)

    def get_quantity(self, source: GrantSource) -> int:
        return 1


class GrantedFeature(serializers.Serializer[Any]):
    feature = FeatureOut()
    entitlement = GrantOut(source="*")
    sources = SourceOut(many=True)


class CustomerGrants(ContractAnswer):
    """A customer's current entitlements from all live subscriptions."""

    nulls: ClassVar[tuple[str, ...]] = ("subscriptions",)

    customer_id = serializers.CharField(source="customer.public_id")
    features = GrantedFeature(many=True)


class SubscriptionGrants(serializers.Serializer[Any]):
    """A subscription's current entitlements."""

    subscription_id = serializers.CharField()
    plan_id = serializers.CharField(allow_null=True)
    features = GrantedFeature(many=True)
