"""Filters of invoices."""

from typing import ClassVar

import django_filters as filters
from django.db.models import QuerySet

from billing.api.names import INVOICE_STATUSES, PAYMENT_STATUSES, REASONS
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceState,
)
from billing.models.invoices import REMAINING
from catalog.api.filters import ListFilter
from config.api.filters import ManyFilter, MomentFilter

UNMATCHED_PAYMENTS = ("INITIATED", "PROCESSING", "OVERPAID", "FAILED", "REFUNDED", "PARTIALLY_REFUNDED")
UNMATCHED_REASONS = (
    *("SUBSCRIPTION_TRIAL_START", "SUBSCRIPTION_TRIAL_END", "PRORATION", "AUTO_INVOICE_THRESHOLD", "WALLET_TOP_UP"),
)


class InvoiceFilter(ListFilter):
    expandable: ClassVar[tuple[str, ...]] = ("customer", "line_items", "coupon_applications", "taxes")
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
    joint_invoice_id = filters.CharFilter(field_name="joint__public_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    invoice_type = filters.CharFilter(method="with_type", label="SUBSCRIPTION or ONE_OFF.")
    billing_reason = ManyFilter(
        method="with_reason", names=dict.fromkeys(REASONS.values()), unmatched=UNMATCHED_REASONS
    )
    subscription_customer_id = ManyFilter(field_name="subscription__customer__public_id")
    skip_line_items = filters.BooleanFilter(method="without_lines", label="Leave out the line items.")
    invoice_status = ManyFilter(
        method="with_invoice_status",
        names=INVOICE_STATUSES,
        unmatched=["SKIPPED"],
        help_text="DRAFT, FINALIZED, VOIDED.",
    )
    payment_status = ManyFilter(
        method="with_payment", names=PAYMENT_STATUSES, unmatched=UNMATCHED_PAYMENTS, help_text="PENDING, SUCCEEDED."
    )
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

    def with_reason(self, rows: QuerySet[Invoice], name: str, value: list[str]) -> QuerySet[Invoice]:
        return rows.filter(kind__in=[kind for kind, reason in REASONS.items() if reason in value])

    def without_lines(self, rows: QuerySet[Invoice], name: str, value: bool) -> QuerySet[Invoice]:
        """Keep all rows: the view leaves out their lines."""
        return rows

    def with_invoice_status(self, rows: QuerySet[Invoice], name: str, value: list[str]) -> QuerySet[Invoice]:
        return rows.filter(state__in=_states(INVOICE_STATUSES, value))

    def with_payment(self, rows: QuerySet[Invoice], name: str, value: list[str]) -> QuerySet[Invoice]:
        return rows.filter(state__in=_states(PAYMENT_STATUSES, value))

    def remaining_above(self, rows: QuerySet[Invoice], name: str, value: object) -> QuerySet[Invoice]:
        return rows.alias(remaining=REMAINING).filter(remaining__gt=value)


def _states(names: dict[str, tuple[InvoiceState, ...]], statuses: list[str]) -> list[InvoiceState]:
    return [state for name in statuses for state in names.get(name, ())]
