"""API views for the parts of subscriptions: line items, phases and pauses."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import Q
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.contract import ContractRecord
from config.api.errors import invalid
from config.api.fields import ComputedText, ConstantField
from config.api.openapi import listed, operation
from config.api.unknown_names import Unused
from config.api.views import ApiView, read_body
from customers.api.serializers.subscriptions import LineItemOut, SubscriptionOut, load_subscriptions
from customers.api.subscriptions import TAG, subscription_of
from customers.models import PhaseKind, Subscription, SubscriptionPhase
from customers.subscriptions import get_phases

MOST_SUBSCRIPTIONS = 1000
KINDS = {PhaseKind.ACTIVE.value: "active", PhaseKind.TRIAL.value: "trial", PhaseKind.PAUSED.value: "paused"}


class IdsField(serializers.ListField):
    """An optional list of ids."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.CharField(max_length=64)
        super().__init__(child=child, required=False, max_length=MOST_SUBSCRIPTIONS, **kwargs)


class LineItemQuery(serializers.Serializer[Any]):
    """Line items to list. `subscription_ids` or `customer_ids` is required; all filters must match."""

    unused: ClassVar[dict[str, Unused]] = {"active_filter": Unused("Only current line items are listed.", (True,))}

    subscription_ids = IdsField()
    customer_ids = IdsField()
    subscription_line_item_ids = IdsField()
    price_ids = IdsField()
    meter_ids = IdsField()
    limit = serializers.IntegerField(default=50, min_value=1, max_value=1000)
    offset = serializers.IntegerField(default=0, min_value=0)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("subscription_ids") and not attrs.get("customer_ids"):
            raise serializers.ValidationError({"subscription_ids": ["Specify subscription_ids or customer_ids."]})
        return attrs


class LineItemSearch(ApiView):
    """Search the prices that subscriptions currently pay."""

    is_reading = True

    @operation(
        "querySubscriptionLineItems",
        "Search line items of subscriptions",
        refusals="Specify `subscription_ids` or `customer_ids`.",
        tag=TAG,
        body=LineItemQuery,
        answers={200: listed("SubscriptionLineItemList", LineItemOut)},
        example={"subscription_ids": ["subs_1"]},
    )
    def post(self, request: Request) -> Response:
        query = read_body(request, LineItemQuery)
        items = LineItemOut(_find_items(query), many=True).data
        wanted = query.get("subscription_line_item_ids")
        found = [item for item in items if not wanted or item["id"] in wanted]
        start, limit = query["offset"], query["limit"]
        pagination = {"total": len(found), "limit": limit, "offset": start}
        return Response({"items": found[start : start + limit], "pagination": pagination})


def _find_items(query: dict[str, Any]) -> list[Any]:
    condition = Q()
    if query.get("subscription_ids"):
        condition &= Q(public_id__in=query["subscription_ids"])
    if query.get("customer_ids"):
        condition &= Q(customer__public_id__in=query["customer_ids"])
    rows = Subscription.objects.filter(condition).select_related("customer").order_by("-pk")
    subscriptions = list(rows[: MOST_SUBSCRIPTIONS + 1])
    if len(subscriptions) > MOST_SUBSCRIPTIONS:
        raise invalid({"customer_ids": [f"They have more than {MOST_SUBSCRIPTIONS:,} subscriptions. Ask for fewer."]})
    prices, meters = query.get("price_ids"), query.get("meter_ids")
    return [
        item
        for subscription in load_subscriptions(subscriptions, now=timezone.now())
        for item in subscription.now_items
        if (not prices or item.price.public_id in prices)
        and (not meters or (item.price.feature is not None and item.price.feature.public_id in meters))
    ]


class PhaseOut(ContractRecord):
    """A span of time under one plan version: in trial, active or paused."""

    nulls = ("metadata", "updated_at")

    id = ComputedText()
    subscription_id = serializers.CharField(source="subscription.public_id")
    kind = serializers.SerializerMethodField()
    plan_id = serializers.CharField(source="plan_version.plan.public_id")
    plan_version = serializers.IntegerField(source="plan_version.number")
    start_date = serializers.DateTimeField(source="starts_at")
    end_date = serializers.DateTimeField(source="ends_at", allow_null=True)
    reason = serializers.CharField()
    status = ConstantField("published")
    created_at = serializers.DateTimeField(source="recorded_at")

    def get_id(self, phase: SubscriptionPhase) -> str:
        return f"phase_{phase.pk}"

    def get_kind(self, phase: SubscriptionPhase) -> str:
        return KINDS[phase.kind]


class PauseItem(ContractRecord):
    """A pause: scheduled, active or completed."""

    nulls = (
        *("metadata", "original_period_end", "original_period_start", "pause_mode", "resume_mode", "resumed_at"),
        "updated_at",
    )

    id = ComputedText()
    subscription_id = serializers.CharField(source="subscription.public_id")
    pause_status = serializers.SerializerMethodField()
    pause_start = serializers.DateTimeField(source="starts_at")
    pause_end = serializers.DateTimeField(source="ends_at", allow_null=True)
    reason = serializers.CharField()
    status = ConstantField("published")
    created_at = serializers.DateTimeField(source="recorded_at")

    def get_id(self, phase: SubscriptionPhase) -> str:
        return f"pause_{phase.pk}"

    def get_pause_status(self, phase: SubscriptionPhase) -> str:
        return pause_status(phase, self.context["now"])


def pause_status(phase: SubscriptionPhase, now: datetime) -> str:
    if phase.starts_at > now:
        return "scheduled"
    return "active" if phase.ends_at is None or phase.ends_at > now else "completed"


def pauses_of(phases: Iterable[SubscriptionPhase]) -> list[SubscriptionPhase]:
    return [phase for phase in phases if phase.kind == PhaseKind.PAUSED]


class PauseList(serializers.Serializer[Any]):
    """The pauses of a subscription, oldest first."""

    items = PauseItem(many=True)


class SubscriptionPauses(ApiView):
    """List a subscription's pauses, past and scheduled."""

    @operation(
        "listSubscriptionPauses", "List pauses of a subscription", tag=TAG, answers={200: PauseList}, errors=(404,)
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        phases = get_phases(subscription_of(subscription_id))
        return Response(PauseList({"items": pauses_of(phases)}, context={"now": timezone.now()}).data)


class SubscriptionV2Out(SubscriptionOut):
    """A subscription with its phases and pauses."""

    nulls = (*SubscriptionOut.nulls, "plan_prices_out_of_sync")

    phases = PhaseOut(source="now_phases", many=True)
    pauses = PauseItem(source="now_pauses", many=True)


class SubscriptionV2(ApiView):
    """Retrieve a subscription with its phases and pauses."""

    @operation(
        "getSubscriptionV2",
        "Retrieve a subscription with its history",
        tag=TAG,
        answers={200: SubscriptionV2Out},
        errors=(404,),
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        now = timezone.now()
        [row] = load_subscriptions([subscription_of(subscription_id)], now=now)
        row.now_phases = get_phases(row)
        row.now_pauses = pauses_of(row.now_phases)
        return Response(SubscriptionV2Out(row, context={"now": now}).data)
