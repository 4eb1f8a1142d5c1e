"""Filters of the catalog's lists and searches."""

from typing import ClassVar

import django_filters as filters

from catalog.api.names import PERIODS
from catalog.models import Entitlement, Feature, Plan, Price
from config.api.filters import ManyFilter, MomentFilter

STATES = {"published": "active", "archived": "archived"}


class ListFilter(filters.FilterSet):
    """The filters that most lists share: the time of creation."""

    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "updated_at": "updated_at", "name": "name"}

    start_time = MomentFilter(
        field_name="created_at", lookup_expr="gte", help_text="Only objects created at or after this time."
    )
    end_time = MomentFilter(
        field_name="created_at", lookup_expr="lt", help_text="Only objects created before this time."
    )


class StateFilter(ListFilter):
    status = ManyFilter(field_name="state", names=STATES, help_text="published or archived. Defaults to both.")


class FeatureFilter(StateFilter):
    feature_ids = ManyFilter(field_name="public_id")
    meter_ids = ManyFilter(field_name="public_id")
    lookup_key = filters.CharFilter(field_name="key")
    lookup_keys = ManyFilter(field_name="key")
    name_contains = filters.CharFilter(field_name="name", lookup_expr="icontains")
    event_name = filters.CharFilter(field_name="event_name")
    type = ManyFilter(field_name="kind")

    class Meta:
        model = Feature
        fields: ClassVar[list[str]] = []


class PlanFilter(StateFilter):
    plan_ids = ManyFilter(field_name="public_id")
    lookup_key = filters.CharFilter(field_name="key")
    name_contains = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Plan
        fields: ClassVar[list[str]] = []


class PriceFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "updated_at": "updated_at"}

    price_ids = ManyFilter(field_name="public_id")
    plan_ids = ManyFilter(field_name="version__plan__public_id")
    entity_ids = ManyFilter(field_name="version__plan__public_id")
    meter_ids = ManyFilter(field_name="feature__public_id")
    billing_periods = ManyFilter(field_name="interval", names=PERIODS)
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")

    class Meta:
        model = Price
        fields: ClassVar[list[str]] = []


class EntitlementFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "updated_at": "updated_at"}

    plan_ids = ManyFilter(field_name="version__plan__public_id")
    entity_ids = ManyFilter(field_name="version__plan__public_id")
    feature_ids = ManyFilter(field_name="feature__public_id")
    feature_type = filters.CharFilter(field_name="feature__kind")
    is_enabled = filters.BooleanFilter(field_name="is_enabled")

    class Meta:
        model = Entitlement
        fields: ClassVar[list[str]] = []
