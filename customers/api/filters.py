"""Filters of the lists of customers and subscriptions."""

from datetime import datetime
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone

from catalog.api.filters import ListFilter, StateFilter
from catalog.api.names import PERIODS
from config.api.filters import ManyFilter, MomentFilter
from customers.models import Customer, Subscription


class CustomerFilter(StateFilter):
    customer_ids = ManyFilter(field_name="public_id")
    external_id = filters.CharFilter(field_name="external_id")
    external_ids = ManyFilter(field_name="external_id")
    email = filters.CharFilter(field_name="email", lookup_expr="iexact")
    name_contains = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Customer
        fields: ClassVar[list[str]] = []


class SubscriptionFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {
        "created_at": "created_at",
        "updated_at": "updated_at",
        "start_date": "started_at",
    }

    subscription_ids = ManyFilter(field_name="public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    customer_ids = ManyFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    plan_id = filters.CharFilter(method="on_plan", label="Only subscriptions that are, were or will be on this plan.")
    billing_period = ManyFilter(field_name="interval", names=PERIODS)
    subscription_status = ManyFilter(field_name="status", method="with_status", help_text="The current status.")
    active_at = MomentFilter(method="live_at", label="Only subscriptions live at this time.")
    lookup_key = filters.CharFilter(field_name="key")

    class Meta:
        model = Subscription
        fields: ClassVar[list[str]] = []

    def on_plan(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(phases__superseded_at=None, phases__plan_version__plan__public_id=value).distinct()

    def with_status(self, rows: Any, name: str, value: list[str]) -> QuerySet[Any]:
        matching: QuerySet[Any] = rows.with_current(timezone.now()).filter(status__in=value)
        return matching

    def live_at(self, rows: Any, name: str, value: datetime) -> QuerySet[Any]:
        matching: QuerySet[Any] = rows.live(value)
        return matching
