"""Filters of the catalog's lists and searches."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q

from catalog.api.names import ENTITY_TYPES, PERIODS
from catalog.models import Addon, Entitlement, Feature, Plan, Price
from catalog.models.features import FeatureKind
from config.api.filters import ManyFilter, MomentFilter, StatusFilterSet
from config.api.unknown_names import Unused

FEATURE_TYPES = {kind.value: kind for kind in FeatureKind}


class ListFilter(StatusFilterSet):
    """The filters that most lists share: the status, and the time of creation."""

    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "updated_at": "updated_at", "name": "name"}

    start_time = MomentFilter(
        field_name="created_at", lookup_expr="gte", help_text="Only objects created at or after this time."
    )
    end_time = MomentFilter(
        field_name="created_at", lookup_expr="lt", help_text="Only objects created before this time."
    )


class StateFilter(ListFilter):
    """The filters of lists whose objects are archived by their state."""

    published: ClassVar[Q] = Q(state="active")
    archived: ClassVar[Q] = Q(state="archived")


class FeatureFilter(StateFilter):
    expandable: ClassVar[tuple[str, ...]] = ("meter", "meters")

    feature_ids = ManyFilter(field_name="public_id")
    meter_ids = ManyFilter(field_name="public_id")
    lookup_key = filters.CharFilter(field_name="key")
    lookup_keys = ManyFilter(field_name="key")
    name_contains = filters.CharFilter(field_name="name", lookup_expr="icontains")
    event_name = filters.CharFilter(field_name="event_name")
    type = ManyFilter(field_name="kind", names=FEATURE_TYPES, unmatched=["config"])

    class Meta:
        model = Feature
        fields: ClassVar[list[str]] = []


class PlanFilter(StateFilter):
    expandable: ClassVar[tuple[str, ...]] = ("prices", "entitlements", "meters", "features")
    searches_metadata: ClassVar[bool] = True

    plan_ids = ManyFilter(field_name="public_id")
    lookup_key = filters.CharFilter(field_name="key")
    name_contains = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Plan
        fields: ClassVar[list[str]] = []


class AddonFilter(StateFilter):
    expandable: ClassVar[tuple[str, ...]] = ("prices", "entitlements", "meters", "features")
    searches_metadata: ClassVar[bool] = True

    addon_ids = ManyFilter(field_name="public_id")
    lookup_keys = ManyFilter(field_name="key")
    name_contains = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Addon
        fields: ClassVar[list[str]] = []


class PriceFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "updated_at": "updated_at"}
    expandable: ClassVar[tuple[str, ...]] = ("meter", "meters")
    unused: ClassVar[dict[str, Unused]] = {
        "allow_expired_prices": Unused("Only prices of the newest plan versions are listed.", ("false", False)),
        "parent_price_id": Unused("Prices have no parents. Filter by plan_ids."),
        "subscription_id": Unused("Subscriptions have no prices of their own. Filter by plan_ids."),
        "start_date_lt": Unused("Prices have no dates: they apply from their plan version on."),
    }

    entity_type = ManyFilter(
        field_name="version__plan__kind", names=ENTITY_TYPES, unmatched=["SUBSCRIPTION", "PRICE", "COSTSHEET"]
    )
    updated_after = MomentFilter(field_name="updated_at", lookup_expr="gt")
    price_ids = ManyFilter(field_name="public_id")
    plan_ids = ManyFilter(field_name="version__plan__public_id")
    entity_ids = ManyFilter(field_name="version__plan__public_id")
    meter_ids = ManyFilter(field_name="feature__public_id")
    billing_periods = ManyFilter(field_name="interval", names=PERIODS, unmatched=["ONETIME"])
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")

    class Meta:
        model = Price
        fields: ClassVar[list[str]] = []


class EntitlementFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "updated_at": "updated_at"}
    expandable: ClassVar[tuple[str, ...]] = ("feature", "features", "meter", "meters")
    unused: ClassVar[dict[str, Unused]] = {
        "has_grant_config": Unused("Entitlements have no grant windows.", ("false", False))
    }

    entity_type = ManyFilter(field_name="version__plan__kind", names=ENTITY_TYPES, unmatched=["SUBSCRIPTION"])
    plan_ids = ManyFilter(field_name="version__plan__public_id")
    entity_ids = ManyFilter(field_name="version__plan__public_id")
    feature_ids = ManyFilter(field_name="feature__public_id")
    feature_type = filters.CharFilter(field_name="feature__kind")
    is_enabled = filters.BooleanFilter(field_name="is_enabled")

    class Meta:
        model = Entitlement
        fields: ClassVar[list[str]] = []
