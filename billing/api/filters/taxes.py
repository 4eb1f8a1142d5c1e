"""Filters of tax rates and their assignments."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet

from billing.api.filters.shared import ArchivedFilter
from billing.models import (
    TaxAssignment,
    TaxRate,
)
from catalog.api.filters import ListFilter
from config.api.filters import ConstantFilter, ManyFilter, any_of


class RateFilter(ArchivedFilter):
    scope = ConstantFilter("INTERNAL", others=["EXTERNAL", "ONETIME"])
    taxrate_ids = ManyFilter(field_name="public_id")
    taxrate_codes = ManyFilter(field_name="code")

    class Meta:
        model = TaxRate
        fields: ClassVar[list[str]] = []


ENTITIES = {
    "tenant": Q(customer=None, subscription=None),
    "customer": Q(customer__isnull=False),
    "subscription": Q(subscription__isnull=False),
}


class AssignmentFilter(ListFilter):
    expandable: ClassVar[tuple[str, ...]] = ("tax_rate",)
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at"}

    tax_rate_id = filters.CharFilter(field_name="rate__public_id")
    tax_rate_ids = ManyFilter(field_name="rate__public_id")
    entity_type = ManyFilter(
        method="with_entity_type", names=ENTITIES, unmatched=["invoice"], help_text="tenant, customer or subscription."
    )
    entity_id = filters.CharFilter(method="with_entity", label="A customer's or a subscription's id.")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")

    class Meta:
        model = TaxAssignment
        fields: ClassVar[list[str]] = []

    def with_entity_type(self, rows: QuerySet[TaxAssignment], name: str, value: list[str]) -> QuerySet[TaxAssignment]:
        return rows.filter(any_of(ENTITIES, value))

    def with_entity(self, rows: QuerySet[TaxAssignment], name: str, value: str) -> QuerySet[TaxAssignment]:
        return rows.filter(Q(customer__public_id=value) | Q(subscription__public_id=value))
