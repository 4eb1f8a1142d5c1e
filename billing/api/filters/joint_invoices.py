"""Filters of joint invoices."""

from typing import ClassVar

import django_filters as filters
from django.db.models import QuerySet

from billing.models import Invoice, JointInvoice
from catalog.api.filters import ListFilter
from config.api.filters import ManyFilter, MomentFilter


class JointInvoiceFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "period_end": "period_end"}

    joint_invoice_ids = ManyFilter(field_name="public_id")
    invoice_number = filters.CharFilter(field_name="number")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    subscription_id = filters.CharFilter(method="of_subscription", label="A section's subscription.")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    period_end_gte = MomentFilter(field_name="period_end", lookup_expr="gte")
    period_end_lte = MomentFilter(field_name="period_end", lookup_expr="lte")

    class Meta:
        model = JointInvoice
        fields: ClassVar[list[str]] = []

    def of_subscription(self, rows: QuerySet[JointInvoice], name: str, value: str) -> QuerySet[JointInvoice]:
        return rows.filter(pk__in=Invoice.objects.filter(subscription__public_id=value).values("joint"))
