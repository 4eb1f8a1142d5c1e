"""Filters of billing's lists and searches."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet

from billing.api.names import CREDIT_NOTE_STATES, INVOICE_STATUSES, PAYMENT_STATUSES
from billing.api.serializers.wallets import ENTRY_REASONS, KIND_REASONS, STATES
from billing.models import (
    Coupon,
    CouponApplication,
    CreditNote,
    EntryKind,
    Invoice,
    InvoiceKind,
    InvoiceState,
    LateAdjustment,
    LateState,
    Payment,
    TaxAssignment,
    TaxRate,
    Wallet,
    WalletEntry,
)
from billing.models.invoices import REMAINING
from catalog.api.filters import ListFilter
from config.api.filters import ManyFilter, MomentFilter


class InvoiceFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {
        "created_at": "created_at",
        "updated_at": "updated_at",
        "period_start": "period_start",
        "period_end": "period_end",
        "finalized_at": "finalized_at",
    }

    invoice_ids = ManyFilter(field_name="public_id")
    invoice_number = filters.CharFilter(field_name="number")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    subscription_id = filters.CharFilter(field_name="subscription__public_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    invoice_type = filters.CharFilter(method="with_type", label="SUBSCRIPTION or ONE_OFF.")
    invoice_status = ManyFilter(field_name="state", method="with_status", help_text="DRAFT, FINALIZED, VOIDED.")
    payment_status = ManyFilter(field_name="state", method="with_payment", help_text="PENDING, SUCCEEDED.")
    amount_due_gt = filters.NumberFilter(field_name="amount_due", lookup_expr="gt")
    amount_remaining_gt = filters.NumberFilter(
        method="remaining_above", label="The remaining amount is greater than this."
    )
    period_start_gte = MomentFilter(field_name="period_start", lookup_expr="gte")
    period_start_lte = MomentFilter(field_name="period_start", lookup_expr="lte")
    period_end_gte = MomentFilter(field_name="period_end", lookup_expr="gte")
    period_end_lte = MomentFilter(field_name="period_end", lookup_expr="lte")
    finalized_at_gte = MomentFilter(field_name="finalized_at", lookup_expr="gte")
    voided_at_gte = MomentFilter(field_name="voided_at", lookup_expr="gte")

    class Meta:
        model = Invoice
        fields: ClassVar[list[str]] = []

    def with_type(self, rows: QuerySet[Invoice], name: str, value: str) -> QuerySet[Invoice]:
        one_off = rows.filter(kind=InvoiceKind.ONE_OFF)
        return one_off if value == "ONE_OFF" else rows.exclude(kind=InvoiceKind.ONE_OFF)

    def with_status(self, rows: QuerySet[Invoice], name: str, value: list[str]) -> QuerySet[Invoice]:
        return rows.filter(state__in=_states(INVOICE_STATUSES, value))

    def with_payment(self, rows: QuerySet[Invoice], name: str, value: list[str]) -> QuerySet[Invoice]:
        return rows.filter(state__in=_states(PAYMENT_STATUSES, value))

    def remaining_above(self, rows: QuerySet[Invoice], name: str, value: object) -> QuerySet[Invoice]:
        return rows.alias(remaining=REMAINING).filter(remaining__gt=value)


def _states(names: dict[str, tuple[InvoiceState, ...]], statuses: list[str]) -> list[InvoiceState]:
    return [state for name in statuses for state in names.get(name, ())]


class PaymentFilter(filters.FilterSet):
    sortable: ClassVar[dict[str, str]] = {"created_at": "recorded_at", "amount": "amount"}

    start_time = MomentFilter(
        field_name="recorded_at", lookup_expr="gte", help_text="Only payments recorded at or after this time."
    )
    end_time = MomentFilter(
        field_name="recorded_at", lookup_expr="lt", help_text="Only payments recorded before this time."
    )
    payment_ids = ManyFilter(field_name="public_id")
    destination_id = filters.CharFilter(field_name="invoice__public_id", label="The invoice's id.")
    customer_id = filters.CharFilter(field_name="invoice__customer__public_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    kind = ManyFilter(field_name="kind", help_text="payment, reversal, refund.")

    class Meta:
        model = Payment
        fields: ClassVar[list[str]] = []


class CreditNoteFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "finalized_at": "finalized_at"}

    credit_note_ids = ManyFilter(field_name="public_id")
    invoice_id = filters.CharFilter(field_name="invoice__public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    subscription_id = filters.CharFilter(field_name="invoice__subscription__public_id")
    credit_note_status = ManyFilter(field_name="state", names=CREDIT_NOTE_STATES, help_text="DRAFT, FINALIZED, VOIDED.")

    class Meta:
        model = CreditNote
        fields: ClassVar[list[str]] = []


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
    state = ManyFilter(field_name="state", help_text=", ".join(LateState.values) + ".")
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


class WalletFilter(ListFilter):
    wallet_ids = ManyFilter(field_name="public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    status = ManyFilter(field_name="state", names=STATES, help_text="active or closed. Defaults to both.")

    class Meta:
        model = Wallet
        fields: ClassVar[list[str]] = []


class EntryFilter(filters.FilterSet):
    sortable: ClassVar[dict[str, str]] = {"created_at": "at", "amount": "amount"}

    id = filters.CharFilter(field_name="public_id")
    wallet_id = filters.CharFilter(field_name="wallet__public_id")
    customer_id = filters.CharFilter(field_name="wallet__customer__public_id")
    type = filters.CharFilter(method="with_type", help_text="credit or debit.")
    transaction_reason = filters.CharFilter(method="with_reason")
    reference_id = filters.CharFilter(field_name="invoice__public_id", help_text="An invoice's id.")
    start_time = MomentFilter(field_name="at", lookup_expr="gte", help_text="Only transactions at or after this time.")
    end_time = MomentFilter(field_name="at", lookup_expr="lt", help_text="Only transactions before this time.")
    expiry_date_before = MomentFilter(field_name="grant__expires_at", lookup_expr="lt")
    expiry_date_after = MomentFilter(field_name="grant__expires_at", lookup_expr="gt")

    class Meta:
        model = WalletEntry
        fields: ClassVar[list[str]] = []

    def with_type(self, rows: QuerySet[WalletEntry], name: str, value: str) -> QuerySet[WalletEntry]:
        return rows.filter(amount__gt=0) if value == "credit" else rows.filter(amount__lt=0)

    def with_reason(self, rows: QuerySet[WalletEntry], name: str, value: str) -> QuerySet[WalletEntry]:
        kinds = [kind for kind, reason in ENTRY_REASONS.items() if reason == value]
        granted = [kind for kind, reason in KIND_REASONS.items() if reason == value]
        return rows.filter(Q(kind__in=kinds) | Q(kind=EntryKind.GRANTED, grant__kind__in=granted))


class ArchivedFilter(ListFilter):
    status = ManyFilter(method="with_status", help_text="published or archived. Defaults to both.")

    def with_status(self, rows: QuerySet[Coupon], name: str, value: list[str]) -> QuerySet[Coupon]:
        condition = Q(pk__in=[])
        if "published" in value:
            condition |= Q(archived_at=None)
        if "archived" in value:
            condition |= Q(archived_at__isnull=False)
        return rows.filter(condition)


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
    active_only = filters.BooleanFilter(method="only_active", label="Only applications that haven't ended.")

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
    entity_type = filters.CharFilter(method="with_entity_type", label="tenant, customer or subscription.")
    entity_id = filters.CharFilter(method="with_entity", label="A customer's or a subscription's id.")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")

    class Meta:
        model = TaxAssignment
        fields: ClassVar[list[str]] = []

    def with_entity_type(self, rows: QuerySet[TaxAssignment], name: str, value: str) -> QuerySet[TaxAssignment]:
        conditions = {
            "tenant": Q(customer=None, subscription=None),
            "customer": Q(customer__isnull=False),
            "subscription": Q(subscription__isnull=False),
        }
        return rows.filter(conditions.get(value, Q(pk__in=[])))

    def with_entity(self, rows: QuerySet[TaxAssignment], name: str, value: str) -> QuerySet[TaxAssignment]:
        return rows.filter(Q(customer__public_id=value) | Q(subscription__public_id=value))
