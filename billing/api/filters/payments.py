"""Filters of payments."""

from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet

from billing.api.filters.shared import values_by_name
from billing.api.names import PAYMENT_METHODS
from billing.api.serializers.payments import DESTINATIONS, SUCCEEDED_KINDS
from billing.models import Payment, PaymentKind
from config.api.filters import ManyFilter, MomentFilter, StatusFilterSet, any_of
from config.api.unknown_names import Unused


class PaymentFilter(StatusFilterSet):
    sortable: ClassVar[dict[str, str]] = {"created_at": "recorded_at", "amount": "amount"}
    unused: ClassVar[dict[str, Unused]] = dict.fromkeys(
        ("gateway_payment_id", "gateway_tracking_id", "payment_gateway"), Unused("Payments have no gateway.")
    )

    start_time = MomentFilter(
        field_name="recorded_at", lookup_expr="gte", help_text="Only payments recorded at or after this time."
    )
    end_time = MomentFilter(
        field_name="recorded_at", lookup_expr="lt", help_text="Only payments recorded before this time."
    )
    payment_ids = ManyFilter(field_name="public_id")
    destination_id = filters.CharFilter(method="with_destination", label="The invoice's or the customer's id.")
    destination_type = filters.ChoiceFilter(
        choices=[(name, name) for name in DESTINATIONS], method="with_destination_type"
    )
    payment_method_type = ManyFilter(
        field_name="method", names=PAYMENT_METHODS, unmatched=["ACH", "PAYMENT_LINK", "UPI"]
    )
    payment_status = ManyFilter(
        method="with_payment_status",
        names={"SUCCEEDED": True, "REFUNDED": False},
        unmatched=["INITIATED", "PENDING", "PROCESSING", "OVERPAID", "FAILED", "PARTIALLY_REFUNDED", "VOIDED"],
    )
    customer_id = filters.CharFilter(field_name="customer__public_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    kind = ManyFilter(
        field_name="kind", names=values_by_name(PaymentKind), help_text="payment, applied, adjusted, reversal, refund."
    )

    class Meta:
        model = Payment
        fields: ClassVar[list[str]] = []

    def with_destination(self, rows: QuerySet[Payment], name: str, value: str) -> QuerySet[Payment]:
        return rows.filter(Q(invoice__public_id=value) | Q(invoice=None, customer__public_id=value))

    def with_destination_type(self, rows: QuerySet[Payment], name: str, value: str) -> QuerySet[Payment]:
        return rows.filter(invoice__isnull=value == "CUSTOMER")

    def with_payment_status(self, rows: QuerySet[Payment], name: str, value: list[str]) -> QuerySet[Payment]:
        succeeded = Q(kind__in=SUCCEEDED_KINDS)
        conditions = {"SUCCEEDED": succeeded, "REFUNDED": ~succeeded}
        return rows.filter(any_of(conditions, value))
