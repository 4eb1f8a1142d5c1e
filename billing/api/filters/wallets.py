"""Filters of wallets and their transactions."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet

from billing.api.serializers.wallet_transactions import ENTRY_REASONS, KIND_REASONS
from billing.api.serializers.wallets import STATES
from billing.models import (
    EntryKind,
    Wallet,
    WalletEntry,
)
from catalog.api.filters import ListFilter
from config.api.filters import ConstantFilter, ManyFilter, MomentFilter, StatusFilterSet, any_of
from config.api.unknown_names import Unused


class WalletFilter(ListFilter):
    unused: ClassVar[dict[str, Unused]] = {"alert_enabled": Unused("Wallets have no alerts.", ("false", False))}

    wallet_ids = ManyFilter(field_name="public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    status = ManyFilter(
        field_name="state", names=STATES, unmatched=["frozen"], help_text="active or closed. Defaults to both."
    )

    class Meta:
        model = Wallet
        fields: ClassVar[list[str]] = []


class EntryFilter(StatusFilterSet):
    sortable: ClassVar[dict[str, str]] = {"created_at": "at", "amount": "amount"}
    unused: ClassVar[dict[str, Unused]] = {"created_by": Unused("Filter by transaction_reason instead.")}

    id = filters.CharFilter(field_name="public_id")
    wallet_id = filters.CharFilter(field_name="wallet__public_id")
    customer_id = filters.CharFilter(field_name="wallet__customer__public_id")
    type = ManyFilter(method="with_type", names={"credit": "credit", "debit": "debit"}, help_text="credit or debit.")
    transaction_reason = ManyFilter(method="with_reason")
    transaction_status = ConstantFilter("completed", others=["pending", "failed"])
    reference_type = filters.CharFilter(method="with_reference", label="INVOICE: transactions of invoices.")
    priority = filters.NumberFilter(field_name="grant__priority")
    credits_available_gt = filters.NumberFilter(method="with_credit", label="The remaining part is greater than this.")
    reference_id = filters.CharFilter(field_name="invoice__public_id", help_text="An invoice's id.")
    start_time = MomentFilter(field_name="at", lookup_expr="gte", help_text="Only transactions at or after this time.")
    end_time = MomentFilter(field_name="at", lookup_expr="lt", help_text="Only transactions before this time.")
    expiry_date_before = MomentFilter(field_name="grant__expires_at", lookup_expr="lt")
    expiry_date_after = MomentFilter(field_name="grant__expires_at", lookup_expr="gt")

    class Meta:
        model = WalletEntry
        fields: ClassVar[list[str]] = []

    def with_type(self, rows: QuerySet[WalletEntry], name: str, value: list[str]) -> QuerySet[WalletEntry]:
        conditions = {"credit": Q(amount__gt=0), "debit": Q(amount__lt=0)}
        return rows.filter(any_of(conditions, value))

    def with_reference(self, rows: QuerySet[WalletEntry], name: str, value: str) -> QuerySet[WalletEntry]:
        return rows.exclude(invoice=None) if value == "INVOICE" else rows.none()

    def with_credit(self, rows: QuerySet[WalletEntry], name: str, value: object) -> QuerySet[WalletEntry]:
        return rows.filter(kind=EntryKind.GRANTED, grant__remaining__gt=value)

    def with_reason(self, rows: QuerySet[WalletEntry], name: str, value: list[str]) -> QuerySet[WalletEntry]:
        kinds = [kind for kind, reason in ENTRY_REASONS.items() if reason in value]
        granted = [kind for kind, reason in KIND_REASONS.items() if reason in value]
        return rows.filter(Q(kind__in=kinds) | Q(kind=EntryKind.GRANTED, grant__kind__in=granted))
