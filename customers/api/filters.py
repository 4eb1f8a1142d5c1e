"""Filters of the lists of customers and subscriptions."""

from datetime import datetime
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone

from catalog.api.filters import ListFilter, StateFilter
from catalog.api.names import PERIODS
from config.api.filters import ConstantFilter, ManyFilter, MomentFilter
from config.api.unknown_names import Unused
from customers.api.serializers.subscriptions import STATUSES
from customers.models import Customer, PhaseKind, Subscription, SubscriptionPhase


class CustomerFilter(StateFilter):
    searches_metadata: ClassVar[bool] = True

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
    expandable: ClassVar[tuple[str, ...]] = (
        *("customer", "plan", "line_items", "prices", "meters", "features", "subscription_line_items"),
    )
    unused: ClassVar[dict[str, Unused]] = {
        "invoicing_customer_ids": Unused("Every subscription is billed to its own customer. Use customer_ids."),
        "parent_subscription_ids": Unused("Subscriptions have no parents."),
        "effective_date_for_update": Unused("Use active_at."),
        "with_line_items": Unused("Line items are always included.", ("true", True)),
        "with_coupon_associations": Unused("List applied coupons: GET /v1/coupons/associations.", ("false", False)),
    }

    subscription_ids = ManyFilter(field_name="public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    customer_ids = ManyFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    plan_id = filters.CharFilter(method="on_plan", label="Only subscriptions that are, were or will be on this plan.")
    billing_period = ManyFilter(field_name="interval", names=PERIODS, unmatched=["ONETIME"])
    billing_cadence = ConstantFilter("RECURRING", others=["ONETIME"])
    subscription_type = ConstantFilter(
        "standalone", others=["delegated_invoicing", "parent", "inherited", "grouped_invoicing"]
    )
    subscription_status = ManyFilter(
        method="with_current_status",
        names={status: status for status in STATUSES},
        unmatched=["incomplete", "draft"],
        help_text="The current status.",
    )
    trial_end_due_lte = MomentFilter(
        method="trial_ends_by", label="Only subscriptions in trial until then at the latest."
    )
    active_at = MomentFilter(method="live_at", label="Only subscriptions live at this time.")
    lookup_key = filters.CharFilter(field_name="key")

    class Meta:
        model = Subscription
        fields: ClassVar[list[str]] = []

    def on_plan(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(phases__superseded_at=None, phases__plan_version__plan__public_id=value).distinct()

    def trial_ends_by(self, rows: Any, name: str, value: datetime) -> QuerySet[Any]:
        trials = SubscriptionPhase.objects.filter(superseded_at=None, kind=PhaseKind.TRIAL, ends_at__lte=value)
        current: QuerySet[Any] = rows.filter(pk__in=trials.filter(ends_at__gt=timezone.now()).values("subscription"))
        return current

    def with_current_status(self, rows: Any, name: str, value: list[str]) -> QuerySet[Any]:
        matching: QuerySet[Any] = rows.with_current(timezone.now()).filter(status__in=value)
        return matching

    def live_at(self, rows: Any, name: str, value: datetime) -> QuerySet[Any]:
        matching: QuerySet[Any] = rows.live(value)
        return matching
