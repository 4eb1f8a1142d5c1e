"""The doors to late usage: what changed about invoiced periods, and what becomes of it."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import LateAdjustmentFilter
from billing.models import LateAdjustment, LateState
from billing.money import money
from config.api.fields import plain
from config.api.filters import Pages, apply_filters
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404

TAG = "Late usage"
RELATED = ("subscription__customer", "feature", "price", "invoice", "adjusts", "line__invoice", "credit_note")


class LateAdjustmentOut(serializers.Serializer[Any]):
    """What a price has to charge for an invoiced period after all, or to give back.

    `before` is what was charged, credited or let go so far; `after` what the period comes to now. Of a reduction,
    `amount_credited` was given back by credit notes before: charged were `amount_before` and `amount_credited`.
    """

    id = serializers.CharField()
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField()
    subscription_id = serializers.CharField()
    price_id = serializers.CharField()
    feature_id = serializers.CharField()
    feature_name = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    currency = serializers.CharField()
    quantity_before = serializers.CharField()
    quantity_after = serializers.CharField()
    amount_before = serializers.CharField()
    amount_after = serializers.CharField()
    amount_credited = serializers.CharField(
        help_text="What credit notes took off the charges before, so that it isn't given back again."
    )
    amount = serializers.CharField(help_text="The difference. Below zero it is given back.")
    events_before = serializers.IntegerField()
    events_after = serializers.IntegerField()
    state = serializers.ChoiceField(LateState.choices)
    reason = serializers.CharField(help_text="Why it is ignored, or no longer needed.")
    adjusts_invoice_id = serializers.CharField(
        allow_null=True, help_text="The invoice of the period; null if nothing was invoiced for it."
    )
    adjusts_line_item_id = serializers.CharField(allow_null=True)
    invoice_id = serializers.CharField(allow_null=True, help_text="The invoice that holds it.")
    line_item_id = serializers.CharField(allow_null=True)
    credit_note_id = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


LIST = listed("LateAdjustmentList", LateAdjustmentOut)


def rows() -> QuerySet[LateAdjustment]:
    return LateAdjustment.objects.select_related(*RELATED).order_by("-pk")


def serialize_late_adjustment(row: LateAdjustment) -> dict[str, Any]:
    """Write an adjustment that was loaded with `RELATED`."""
    amounts = {name: money(getattr(row, name), row.currency) for name in ("amount_before", "amount_after", "amount")}
    return amounts | {
        "amount_credited": money(row.credited, row.currency),
        "id": row.public_id,
        "customer_id": row.subscription.customer.public_id,
        "external_customer_id": row.subscription.customer.external_id,
        "subscription_id": row.subscription.public_id,
        "price_id": row.price.public_id,
        "feature_id": row.feature.public_id,
        "feature_name": row.feature.name,
        "period_start": row.period_start,
        "period_end": row.period_end,
        "currency": row.currency,
        "quantity_before": plain(row.quantity_before),
        "quantity_after": plain(row.quantity_after),
        "events_before": row.events_before,
        "events_after": row.events_after,
        "state": row.state,
        "reason": row.reason,
        "adjusts_invoice_id": row.invoice.public_id if row.invoice else None,
        "adjusts_line_item_id": row.adjusts.public_id if row.adjusts else None,
        "invoice_id": row.line.invoice.public_id if row.line else None,
        "line_item_id": row.line.public_id if row.line else None,
        "credit_note_id": row.credit_note.public_id if row.credit_note else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


class LateAdjustments(ApiView):
    """List late adjustments, newest first. The system writes them; staff decide about them in the admin."""

    @operation(
        "listLateAdjustments", "List late usage", tag=TAG, answers={200: LIST}, filters=LateAdjustmentFilter,
        description="What late events, replays and voids changed about periods that were invoiced, and whether it "
        "waits for the next invoice or for approval, or where it is.",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        pages = Pages()
        cut = pages.paginate_queryset(apply_filters(request, rows(), LateAdjustmentFilter), request) or []
        return pages.get_paginated_response(
            LateAdjustmentOut([serialize_late_adjustment(row) for row in cut], many=True).data
        )


class OneLateAdjustment(ApiView):
    """Read a late adjustment."""

    @operation("getLateAdjustment", "Read late usage", tag=TAG, answers={200: LateAdjustmentOut}, errors=(404,))
    def get(self, request: Request, late_adjustment_id: str) -> Response:
        row = get_or_404(rows(), "late adjustment", public_id=late_adjustment_id)
        return Response(LateAdjustmentOut(serialize_late_adjustment(row)).data)
