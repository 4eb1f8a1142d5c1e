"""Filters of late adjustments."""

from typing import ClassVar

import django_filters as filters
from django.db.models import QuerySet

from billing.api.filters.shared import values_by_name
from billing.models import (
    LateAdjustment,
    LateState,
)
from catalog.api.filters import ListFilter
from config.api.filters import ManyFilter, MomentFilter


class LateAdjustmentFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "period_start": "period_start"}

    late_adjustment_ids = ManyFilter(field_name="public_id")
    customer_id = filters.CharFilter(field_name="subscription__customer__public_id")
    external_customer_id = filters.CharFilter(field_name="subscription__customer__external_id")
    subscription_id = filters.CharFilter(field_name="subscription__public_id")
    feature_id = filters.CharFilter(field_name="feature__public_id")
    invoice_id = filters.CharFilter(field_name="invoice__public_id", label="The id of the corrected invoice.")
    invoiced_on = filters.CharFilter(
        field_name="line__invoice__public_id", label="The id of the invoice that includes the difference."
    )
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    state = ManyFilter(field_name="state", names=values_by_name(LateState), help_text=", ".join(LateState.values) + ".")
    credited = filters.BooleanFilter(
        method="credited_before",
        label="True: only charges that credit notes had already reduced. False: only others.",
    )
    period_start_gte = MomentFilter(field_name="period_start", lookup_expr="gte")
    period_start_lte = MomentFilter(field_name="period_start", lookup_expr="lte")

    class Meta:
        model = LateAdjustment
        fields: ClassVar[list[str]] = []

    def credited_before(self, rows: QuerySet[LateAdjustment], name: str, value: bool) -> QuerySet[LateAdjustment]:
        return rows.filter(credited__gt=0) if value else rows.filter(credited=0)
