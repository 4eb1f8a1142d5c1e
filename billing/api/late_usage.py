"""API views for late usage: changes to invoiced periods, and their status."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import MoneyField
from billing.api.filters.late_usage import LateAdjustmentFilter
from billing.late_usage.decisions import APPROVABLE, REOPENABLE, WAIVABLE, approve, ignore, reopen_ignored
from billing.models import LateAdjustment, LateState
from config.api.fields import QuantityField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import ReasonIn
from config.api.views import ApiView, get_all_or_404, get_or_404, read_body

TAG = "Late usage"
WRITE = "billing:write"
MOST_AT_ONCE = 1000
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


class DecisionIn(serializers.Serializer[Any]):
    """The late adjustments to decide about."""

    late_adjustment_ids = serializers.ListField(
        child=serializers.CharField(max_length=64), min_length=1, max_length=MOST_AT_ONCE
    )


class WaiverIn(DecisionIn, ReasonIn):
    """The late adjustments to waive, and the reason."""


class DecisionOut(serializers.Serializer[Any]):
    """The result of a decision. Adjustments whose state doesn't allow it are skipped and not in `items`."""

    items = LateAdjustmentOut(many=True)
    skipped = serializers.ListField(child=serializers.CharField(), help_text="The ids that were skipped.")


class LateAdjustments(ApiView):
    """List late adjustments, newest first. They are created automatically."""

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


def decide(
    ids: Sequence[str], states: Sequence[LateState], decision: Callable[[Sequence[int]], list[LateAdjustment]]
) -> Response:
    """Decide about the adjustments with these ids, and answer the result. 404 if an id is unknown."""
    rows = get_all_or_404(LateAdjustment.objects.all(), "late adjustment", ids)
    decided = decision([row.pk for row in rows.values()])
    items = late_adjustments().filter(pk__in=[row.pk for row in decided])
    skipped = sorted(name for name, row in rows.items() if row.state not in states)
    return Response(DecisionOut({"items": items, "skipped": skipped}).data)


class LateApproval(ApiView):
    """Approve late adjustments that are on hold or below the limit: they are billed on the next invoice."""

    write_scope = WRITE

    @operation(
        "approveLateAdjustments",
        "Approve late usage",
        tag=TAG,
        body=DecisionIn,
        answers={200: DecisionOut},
        errors=(400, 404),
        example={"late_adjustment_ids": ["late_1"]},
    )
    def post(self, request: Request) -> Response:
        ids = read_body(request, DecisionIn)["late_adjustment_ids"]
        return decide(ids, APPROVABLE, lambda keys: approve(keys, by=None, now=timezone.now()))


class LateWaiver(ApiView):
    """Waive open late adjustments: the difference is never charged or credited. The reason is stored."""

    write_scope = WRITE

    @operation(
        "waiveLateAdjustments",
        "Waive late usage",
        tag=TAG,
        body=WaiverIn,
        answers={200: DecisionOut},
        errors=(400, 404),
        example={"late_adjustment_ids": ["late_1"], "reason": "Agreed with the customer"},
    )
    def post(self, request: Request) -> Response:
        body, now = read_body(request, WaiverIn), timezone.now()
        ids, reason = body["late_adjustment_ids"], body["reason"]
        return decide(ids, WAIVABLE, lambda keys: ignore(keys, reason=reason, by=None, now=now))


class LateReopening(ApiView):
    """Reopen waived late adjustments with the current usage. `items` are the new open adjustments of their periods."""

    write_scope = WRITE

    @operation(
        "reopenLateAdjustments",
        "Reopen late usage",
        tag=TAG,
        body=DecisionIn,
        answers={200: DecisionOut},
        errors=(400, 404),
        example={"late_adjustment_ids": ["late_1"]},
    )
    def post(self, request: Request) -> Response:
        ids, now = read_body(request, DecisionIn)["late_adjustment_ids"], timezone.now()
        return decide(ids, REOPENABLE, lambda keys: reopen_ignored(keys, by=None, now=now))
