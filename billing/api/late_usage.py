"""API views for late usage: changes to invoiced periods, and their status."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import MoneyField
from billing.api.filters import LateAdjustmentFilter
from billing.models import LateAdjustment, LateState
from config.api.fields import QuantityField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404

TAG = "Late usage"
RELATED = ("subscription__customer", "feature", "price", "invoice", "adjusts", "line__invoice", "credit_note")


class LateAdjustmentOut(serializers.Serializer[Any]):
    """The difference that late usage makes to an invoiced period, for one price.

    `before` is what has been charged, credited or waived so far; `after` is the period's current total. For a
    reduction, `amount_credited` was already credited by credit notes: `amount_before` and `amount_credited` had been
    charged.
    """

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="subscription.customer.public_id")
    external_customer_id = serializers.CharField(source="subscription.customer.external_id")
    subscription_id = serializers.CharField(source="subscription.public_id")
    price_id = serializers.CharField(source="price.public_id")
    feature_id = serializers.CharField(source="feature.public_id")
    feature_name = serializers.CharField(source="feature.name")
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    currency = serializers.CharField()
    quantity_before = QuantityField()
    quantity_after = QuantityField()
    amount_before = MoneyField()
    amount_after = MoneyField()
    amount_credited = MoneyField(
        source="credited", help_text="The part of the charges that credit notes already credited."
    )
    amount = MoneyField(help_text="The difference. A negative difference is credited.")
    events_before = serializers.IntegerField()
    events_after = serializers.IntegerField()
    state = serializers.ChoiceField(LateState.choices)
    reason = serializers.CharField(help_text="Why it was ignored or is no longer needed.")
    adjusts_invoice_id = serializers.CharField(
        source="invoice.public_id",
        allow_null=True,
        help_text="The invoice of the period; null if the period wasn't invoiced.",
    )
    adjusts_line_item_id = serializers.CharField(source="adjusts.public_id", allow_null=True)
    invoice_id = serializers.CharField(
        source="line.invoice.public_id", allow_null=True, help_text="The invoice that includes the difference."
    )
    line_item_id = serializers.CharField(source="line.public_id", allow_null=True)
    credit_note_id = serializers.CharField(source="credit_note.public_id", allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


LIST = listed("LateAdjustmentList", LateAdjustmentOut)


def late_adjustments() -> QuerySet[LateAdjustment]:
    """Load late adjustments as `LateAdjustmentOut` needs them, newest first."""
    return LateAdjustment.objects.select_related(*RELATED).order_by("-pk")


class LateAdjustments(ApiView):
    """List late adjustments, newest first. They are created automatically; staff decide in the admin."""

    @operation(
        "listLateAdjustments",
        "List late usage",
        tag=TAG,
        answers={200: LIST},
        filters=LateAdjustmentFilter,
        description="Changes that late events, replays and voids made to invoiced periods. The state tells whether a "
        "change is waiting for approval or the next invoice, or where it was invoiced or credited.",
    )
    def get(self, request: Request) -> Response:
        return page(request, late_adjustments(), LateAdjustmentFilter, LateAdjustmentOut)


class OneLateAdjustment(ApiView):
    """Retrieve a late adjustment."""

    @operation("getLateAdjustment", "Retrieve late usage", tag=TAG, answers={200: LateAdjustmentOut}, errors=(404,))
    def get(self, request: Request, late_adjustment_id: str) -> Response:
        adjustment = get_or_404(late_adjustments(), "late adjustment", public_id=late_adjustment_id)
        return Response(LateAdjustmentOut(adjustment).data)
