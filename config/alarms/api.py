"""API views of alarms."""

from collections.abc import Mapping
from typing import ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from config.alarms.kinds import AlarmKind, AlarmStatus
from config.alarms.models import Alarm
from config.alarms.raising import acknowledge
from config.alarms.serializers import AcknowledgmentIn, AlarmOut
from config.api.filters import ManyFilter, any_of, page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body

TAG = "Alarms"
HAVING_STATUS: Mapping[str, Q] = {
    AlarmStatus.OPEN: Q(cleared_at=None, acknowledged_at=None),
    AlarmStatus.ACKNOWLEDGED: Q(cleared_at=None) & ~Q(acknowledged_at=None),
    AlarmStatus.CLEARED: ~Q(cleared_at=None),
}


class AlarmFilter(filters.FilterSet):
    status = ManyFilter(choices=AlarmStatus.values, method="filter_status")
    kind = ManyFilter(choices=AlarmKind.values)

    class Meta:
        model = Alarm
        fields: ClassVar[list[str]] = []

    def filter_status(self, alarms: QuerySet[Alarm], name: str, values: list[str]) -> QuerySet[Alarm]:
        return alarms.filter(any_of(HAVING_STATUS, values))


def alarms() -> QuerySet[Alarm]:
    return Alarm.objects.select_related("acknowledged_by").order_by("-pk")


def alarm_of(alarm_id: str) -> Alarm:
    return get_or_404(alarms(), "alarm", public_id=alarm_id)


class Alarms(ApiView):
    """List alarms, newest first."""

    @operation("listAlarms", "List alarms", tag=TAG, answers={200: listed("AlarmList", AlarmOut)}, filters=AlarmFilter)
    def get(self, request: Request) -> Response:
        return page(request, alarms(), AlarmFilter, AlarmOut)


class OneAlarm(ApiView):
    """Retrieve an alarm."""

    @operation("getAlarm", "Retrieve an alarm", tag=TAG, answers={200: AlarmOut}, errors=(404,))
    def get(self, request: Request, alarm_id: str) -> Response:
        return Response(AlarmOut(alarm_of(alarm_id)).data)


class AlarmAcknowledgment(ApiView):
    """Acknowledge an alarm: someone takes care of it, and no more reminders are sent. Fails (400) if it was cleared."""

    write_scope = "alarms:write"

    @operation(
        "acknowledgeAlarm",
        "Acknowledge an alarm",
        tag=TAG,
        body=AcknowledgmentIn,
        answers={200: AlarmOut},
        errors=(400, 404),
        example={"note": "The disk is being extended"},
        description="A later note replaces the earlier one. Requires the scope `alarms:write`.",
    )
    def post(self, request: Request, alarm_id: str) -> Response:
        alarm, note = alarm_of(alarm_id), read_body(request, AcknowledgmentIn)["note"]
        acknowledge(alarm, note, by=None, now=timezone.now())
        return Response(AlarmOut(alarm_of(alarm_id)).data)
