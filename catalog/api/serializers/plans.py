"""Plans in answers."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.serializers.entitlements import EntitlementOut
from catalog.api.serializers.fields import StatusField
from catalog.api.serializers.prices import PriceOut
from catalog.models import Plan
from config.api.contract import ContractRecord
from config.api.fields import MetadataField


class OfferOut(ContractRecord):
    """What plans and add-ons have in common."""

    nulls: ClassVar[tuple[str, ...]] = ("credit_grants", "price_sync_status")

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    lookup_key = serializers.CharField(source="key", allow_null=True)
    description = serializers.CharField()
    display_order = serializers.IntegerField()
    metadata = MetadataField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    prices = serializers.SerializerMethodField()
    entitlements = serializers.SerializerMethodField()

    @extend_schema_field(PriceOut(many=True, allow_null=True))
    def get_prices(self, plan: Plan) -> Any:
        prices = self.context.get("prices")
        return None if prices is None else PriceOut(prices.get(plan.pk, []), many=True).data

    @extend_schema_field(EntitlementOut(many=True, allow_null=True))
    def get_entitlements(self, plan: Plan) -> Any:
        entitlements = self.context.get("entitlements")
        return None if entitlements is None else EntitlementOut(entitlements.get(plan.pk, []), many=True).data


class PlanOut(OfferOut):
    """A plan. `prices` and `entitlements` of its newest version are included if `expand` lists them."""


class AddonOut(OfferOut):
    """An add-on. `prices` and `entitlements` of its newest version are included if `expand` lists them."""

    plan_ids = serializers.SerializerMethodField(help_text="The plans that it can be added to; empty for all.")
    maximum = serializers.IntegerField(allow_null=True)

    def get_plan_ids(self, addon: Plan) -> list[str]:
        return [plan.public_id for plan in addon.compatible_plans.all()]
