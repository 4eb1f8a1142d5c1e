"""API views for scheduled changes of subscriptions: list, retrieve, withdraw."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.contract import ContractAnswer
from config.api.errors import invalid
from config.api.fields import ComputedBoolean, ComputedInteger, ComputedText, ConstantField, TextField
from config.api.filters import ManyFilter, Pages, apply_filters, comma_separated
from config.api.openapi import operation
from config.api.views import ApiView, read_body
from customers.api.subscriptions import REASON, TAG, WRITE, subscription_of
from customers.models import Subscription, SubscriptionPhase
from customers.subscriptions import (
    ScheduledChange,
    ScheduledKind,
    get_phases_by_subscription,
    list_scheduled_changes,
    withdraw_scheduled_change,
)

PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduled change and its subscription, as the API shows them at a moment."""

    subscription: Subscription
    change: ScheduledChange
    now: datetime

    @property
    def id(self) -> str:
        return f"{self.subscription.public_id}:{self.change.kind}:{int(self.change.at.timestamp())}"


class ConfigurationOut(serializers.Serializer[Any]):
    """The plan that a plan change moves to, and the end of a pause."""

    reason = serializers.CharField(source="change.reason")
    target_plan_id = serializers.CharField(source="change.version.plan.public_id", default=None, allow_null=True)
    pause_end = serializers.DateTimeField(source="change.until", allow_null=True)


class ScheduleOut(ContractAnswer):
    """A change of a subscription that is scheduled: a cancellation, a plan change or a pause."""

    nulls = (
        *("cancelled_at", "configuration_details", "error_message", "executed_at", "execution_details"),
        *("execution_result", "metadata", "updated_at"),
    )

    id = serializers.CharField()
    subscription_id = serializers.CharField(source="subscription.public_id")
    schedule_type = serializers.ChoiceField(ScheduledKind.choices, source="change.kind")
    scheduled_at = serializers.DateTimeField(source="change.at")
    status = ConstantField(PENDING)
    can_be_cancelled = ComputedBoolean()
    days_until_execution = ComputedInteger()
    configuration = ConfigurationOut(source="*")
    created_at = serializers.DateTimeField(source="change.recorded_at")

    def get_can_be_cancelled(self, schedule: Schedule) -> bool:
        return True

    def get_days_until_execution(self, schedule: Schedule) -> int:
        return ceil((schedule.change.at - schedule.now).total_seconds() / 86_400)


class Schedules(serializers.Serializer[Any]):
    """Scheduled changes, the earliest first for each subscription."""

    schedules = ScheduleOut(many=True)
    count = serializers.IntegerField()


class WithdrawIn(serializers.Serializer[Any]):
    """Why the change is withdrawn. The path names the change; the other fields, which SDKs send, must agree with it."""

    schedule_id = TextField(128, allow_null=True)
    subscription_id = TextField(64, allow_null=True)
    schedule_type = serializers.ChoiceField(ScheduledKind.choices, required=False, allow_null=True)
    reason = TextField(255, allow_null=True)


class WithdrawnOut(serializers.Serializer[Any]):
    status = ConstantField("cancelled")
    message = ComputedText()

    def get_message(self, schedule: Schedule) -> str:
        return f"{schedule.change.kind.label} withdrawn"


class ScheduleFilter(filters.FilterSet):
    subscription_id = filters.CharFilter(field_name="public_id")
    subscription_ids = ManyFilter(field_name="public_id")
    schedule_type = ManyFilter(method="keep_all", help_text="cancellation, plan_change or pause.")
    schedule_status = ManyFilter(method="keep_all", help_text="Only pending: other changes aren't scheduled any more.")
    pending_only = filters.BooleanFilter(method="keep_all", help_text="Scheduled changes are always pending.")

    class Meta:
        model = Subscription
        fields: ClassVar[list[str]] = []

    def keep_all(self, rows: QuerySet[Any], name: str, value: object) -> QuerySet[Any]:
        return rows


def list_schedules(subscriptions: Iterable[Subscription], now: datetime) -> list[Schedule]:
    """List the scheduled changes of subscriptions. One query for the phases."""
    rows = list(subscriptions)
    phases = get_phases_by_subscription([row.pk for row in rows])
    return [
        Schedule(row, change, now)
        for row in rows
        for change in list_scheduled_changes(row, phases.get(row.pk, []), now)
    ]


def with_schedules(rows: QuerySet[Subscription], now: datetime) -> QuerySet[Subscription]:
    """Keep subscriptions that may have a scheduled change: a later end, a later phase."""
    later = SubscriptionPhase.objects.filter(subscription=OuterRef("pk"), superseded_at=None, starts_at__gt=now)
    return rows.filter(Q(cancelled_at__isnull=False, ended_at__gt=now) | Exists(later))


def schedule_of(schedule_id: str, now: datetime) -> Schedule:
    """Return a scheduled change by its id. 404 if it has taken effect or has been withdrawn."""
    subscription_id, _, rest = schedule_id.partition(":")
    subscription = Subscription.objects.select_related("customer").filter(public_id=subscription_id).first()
    for schedule in list_schedules([subscription] if rest and subscription else [], now):
        if schedule.id == schedule_id:
            return schedule
    raise NotFound("There is no scheduled change with this id. It may have taken effect or been withdrawn.")


class AllSchedules(ApiView):
    """List the scheduled changes of all subscriptions."""

    @operation(
        "listAllSubscriptionSchedules",
        "List scheduled changes of all subscriptions",
        tag=TAG,
        answers={200: Schedules},
        errors=(400,),
        filters=ScheduleFilter,
    )
    def get(self, request: Request) -> Response:
        now, pages, query = timezone.now(), Pages(), request.query_params
        if query.get("cursor"):
            raise invalid({"cursor": ["Use offset: this list has no cursor."]})
        rows = apply_filters(request, with_schedules(Subscription.objects.order_by("pk"), now), ScheduleFilter)
        kinds, statuses = comma_separated(query, "schedule_type"), comma_separated(query, "schedule_status")
        schedules = [
            schedule
            for schedule in list_schedules(rows, now)
            if schedule.change.kind in (kinds or ScheduledKind.values) and PENDING in (statuses or [PENDING])
        ]
        offset = pages.get_offset(request)
        shown = schedules[offset : offset + pages.get_limit(request)]
        return Response(Schedules({"schedules": shown, "count": len(schedules)}).data)


class SubscriptionSchedules(ApiView):
    """List a subscription's scheduled changes."""

    @operation(
        "listSubscriptionSchedules",
        "List a subscription's scheduled changes",
        tag=TAG,
        answers={200: Schedules},
        errors=(404,),
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        schedules = list_schedules([subscription_of(subscription_id)], timezone.now())
        return Response(Schedules({"schedules": schedules, "count": len(schedules)}).data)


class OneSchedule(ApiView):
    """Retrieve a scheduled change."""

    @operation(
        "getSubscriptionSchedule", "Retrieve a scheduled change", tag=TAG, answers={200: ScheduleOut}, errors=(404,)
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        return Response(ScheduleOut(schedule_of(schedule_id, timezone.now())).data)


class ScheduleCancel(ApiView):
    """Withdraw a scheduled cancellation, plan change or pause. The subscription continues without it."""

    write_scope = WRITE

    @operation(
        "cancelSubscriptionSchedule",
        "Withdraw a scheduled change",
        refusals="`schedule_id`, `schedule_type` and `subscription_id` must agree with the path.",
        tag=TAG,
        body=WithdrawIn,
        answers={200: WithdrawnOut},
        errors=(400, 404),
        example={"reason": "The customer stays"},
    )
    def post(self, request: Request, schedule_id: str) -> Response:
        body, now = read_body(request, WithdrawIn), timezone.now()
        schedule = schedule_of(schedule_id, now)
        self._check(schedule, body)
        reason = body.get("reason") or REASON
        withdraw_scheduled_change(schedule.subscription, only=schedule.change, now=now, by=None, reason=reason)
        return Response(WithdrawnOut(schedule).data)

    def _check(self, schedule: Schedule, body: dict[str, Any]) -> None:
        names = {
            "schedule_id": schedule.id,
            "subscription_id": schedule.subscription.public_id,
            "schedule_type": schedule.change.kind,
        }
        wrong = {
            name: ["Doesn't agree with the path."] for name in names if body.get(name) not in (None, "", names[name])
        }
        if wrong:
            raise invalid(wrong)
