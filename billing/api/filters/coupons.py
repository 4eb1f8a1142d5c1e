"""Filters of coupons and where they are applied."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet
from django.utils import timezone

from billing.api.filters.shared import ArchivedFilter
from billing.models import (
    Coupon,
    CouponApplication,
)
from catalog.api.filters import ListFilter
from config.api.filters import ManyFilter


class CouponFilter(ArchivedFilter):
    coupon_ids = ManyFilter(field_name="public_id")
    coupon_codes = ManyFilter(field_name="code")

    class Meta:
        model = Coupon
        fields: ClassVar[list[str]] = []


class ApplicationFilter(ListFilter):
    expandable: ClassVar[tuple[str, ...]] = ("coupon",)
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at"}

    subscription_ids = ManyFilter(field_name="subscription__public_id")
    customer_ids = ManyFilter(field_name="customer__public_id")
    coupon_ids = ManyFilter(field_name="coupon__public_id")
    active_only = filters.BooleanFilter(method="only_active", label="Only applications that haven't ended.")

    class Meta:
        model = CouponApplication
        fields: ClassVar[list[str]] = []

    def only_active(self, rows: QuerySet[CouponApplication], name: str, value: bool) -> QuerySet[CouponApplication]:
        return rows.filter(Q(ended_at=None) | Q(ended_at__gt=timezone.now())) if value else rows
