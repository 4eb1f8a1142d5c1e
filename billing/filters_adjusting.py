"""What the lists of wallets, their movements, coupons and taxes are asked by."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet

from billing.models import Coupon, CouponApplication, EntryKind, TaxAssignment, TaxRate, Wallet, WalletEntry
from billing.serializers_wallets import ENTRY_REASONS, KIND_REASONS, STATES
from catalog.filters import ListFilter
from config.api.filters import ManyFilter, MomentFilter


class WalletFilter(ListFilter):
    wallet_ids = ManyFilter(field_name="public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    status = ManyFilter(field_name="state", names=STATES, help_text="active, closed; both unless given.")

    class Meta:
        model = Wallet
        fields: ClassVar[list[str]] = []


class EntryFilter(filters.FilterSet):
    sortable: ClassVar[dict[str, str]] = {"created_at": "at", "amount": "amount"}

    id = filters.CharFilter(field_name="public_id")
    wallet_id = filters.CharFilter(field_name="wallet__public_id")
    customer_id = filters.CharFilter(field_name="wallet__customer__public_id")
    type = filters.CharFilter(method="of_type", help_text="credit or debit.")
    transaction_reason = filters.CharFilter(method="with_reason")
    reference_id = filters.CharFilter(field_name="invoice__public_id", help_text="An invoice's id.")
    start_time = MomentFilter(field_name="at", lookup_expr="gte", help_text="Moved at or after.")
    end_time = MomentFilter(field_name="at", lookup_expr="lt", help_text="Moved before.")
    expiry_date_before = MomentFilter(field_name="grant__expires_at", lookup_expr="lt")
    expiry_date_after = MomentFilter(field_name="grant__expires_at", lookup_expr="gt")

    class Meta:
        model = WalletEntry
        fields: ClassVar[list[str]] = []

    def of_type(self, rows: QuerySet[WalletEntry], name: str, value: str) -> QuerySet[WalletEntry]:
        return rows.filter(amount__gt=0) if value == "credit" else rows.filter(amount__lt=0)

    def with_reason(self, rows: QuerySet[WalletEntry], name: str, value: str) -> QuerySet[WalletEntry]:
        kinds = [kind for kind, reason in ENTRY_REASONS.items() if reason == value]
        granted = [kind for kind, reason in KIND_REASONS.items() if reason == value]
        return rows.filter(Q(kind__in=kinds) | Q(kind=EntryKind.GRANTED, grant__kind__in=granted))


class ArchivedFilter(ListFilter):
    status = ManyFilter(method="with_status", help_text="published, archived; both unless given.")

    def with_status(self, rows: QuerySet[Coupon], name: str, value: list[str]) -> QuerySet[Coupon]:
        wanted = Q(pk__in=[])
        wanted |= Q(archived_at=None) if "published" in value else Q(pk__in=[])
        wanted |= Q(archived_at__isnull=False) if "archived" in value else Q(pk__in=[])
        return rows.filter(wanted)


class CouponFilter(ArchivedFilter):
    coupon_ids = ManyFilter(field_name="public_id")
    coupon_codes = ManyFilter(field_name="code")

    class Meta:
        model = Coupon
        fields: ClassVar[list[str]] = []


class ApplicationFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at"}

    subscription_ids = ManyFilter(field_name="subscription__public_id")
    customer_ids = ManyFilter(field_name="customer__public_id")
    coupon_ids = ManyFilter(field_name="coupon__public_id")
    active_only = filters.BooleanFilter(method="only_active", label="Leave out those that were ended.")

    class Meta:
        model = CouponApplication
        fields: ClassVar[list[str]] = []

    def only_active(self, rows: QuerySet[CouponApplication], name: str, value: bool) -> QuerySet[CouponApplication]:
        return rows.filter(ended_at=None) if value else rows


class RateFilter(ArchivedFilter):
    taxrate_ids = ManyFilter(field_name="public_id")
    taxrate_codes = ManyFilter(field_name="code")

    class Meta:
        model = TaxRate
        fields: ClassVar[list[str]] = []


class AssignmentFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at"}

    tax_rate_id = filters.CharFilter(field_name="rate__public_id")
    tax_rate_ids = ManyFilter(field_name="rate__public_id")
    entity_type = filters.CharFilter(method="of_entity", label="tenant, customer or subscription.")
    entity_id = filters.CharFilter(method="with_entity", label="A customer's or a subscription's id.")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")

    class Meta:
        model = TaxAssignment
        fields: ClassVar[list[str]] = []

    def of_entity(self, rows: QuerySet[TaxAssignment], name: str, value: str) -> QuerySet[TaxAssignment]:
        owned = {
            "tenant": Q(customer=None, subscription=None),
            "customer": Q(customer__isnull=False),
            "subscription": Q(subscription__isnull=False),
        }
        return rows.filter(owned.get(value, Q(pk__in=[])))

    def with_entity(self, rows: QuerySet[TaxAssignment], name: str, value: str) -> QuerySet[TaxAssignment]:
        return rows.filter(Q(customer__public_id=value) | Q(subscription__public_id=value))
