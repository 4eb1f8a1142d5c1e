"""API views for logs: refused requests, and recounts of usage."""

from typing import Any, ClassVar

import django_filters as filters
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.fields import BlankAsNullField
from config.api.filters import MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView
from events.models import RefusedRequest, UsageCheck
from events.reasons import Reason

TAG = "Logs"


class RefusedOut(serializers.Serializer[Any]):
    """Requests that were answered with 4xx. Equal requests within a minute share a row.

    Requests without a key that exists share a row for each hour, status and endpoint.
    """

    status = serializers.IntegerField()
    reason = serializers.ChoiceField(Reason.choices)
    path = serializers.CharField()
    field = BlankAsNullField()
    message = serializers.CharField()
    key_prefix = BlankAsNullField(help_text="The first characters of the key. Null without a key that exists.")
    count = serializers.IntegerField()
    minute = serializers.DateTimeField(help_text="The minute, or the hour without a key that exists.")
    last_at = serializers.DateTimeField()
    first_address = serializers.CharField(allow_null=True, help_text="Where the first request came from.")
    last_address = serializers.CharField(allow_null=True, help_text="Where the last request came from.")


class RefusedFilter(filters.FilterSet):
    status = filters.NumberFilter(field_name="status")
    key_prefix = filters.CharFilter(field_name="key_prefix")
    start_time = MomentFilter(field_name="last_at", lookup_expr="gte")
    end_time = MomentFilter(field_name="last_at", lookup_expr="lt")

    class Meta:
        model = RefusedRequest
        fields: ClassVar[list[str]] = []


class Refused(ApiView):
    """List refused requests, newest first."""

    @operation(
        "listRefusedRequests",
        "List refused requests",
        tag=TAG,
        answers={200: listed("RefusedRequestList", RefusedOut)},
        filters=RefusedFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, RefusedRequest.objects.order_by("-pk"), RefusedFilter, RefusedOut)


class UsageCheckOut(serializers.Serializer[Any]):
    """A recount of usage from the ledger, compared with the stored usage."""

    id = serializers.CharField(source="pk")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    hours_compared = serializers.IntegerField(source="buckets")
    differing = serializers.IntegerField()
    applied_at = serializers.DateTimeField(allow_null=True, help_text="When the differences were corrected.")
    reason = serializers.CharField()


class CheckFilter(filters.FilterSet):
    has_differences = filters.BooleanFilter(method="with_differences")

    class Meta:
        model = UsageCheck
        fields: ClassVar[list[str]] = []

    def with_differences(self, rows: Any, name: str, value: bool) -> Any:
        return rows.filter(differing__gt=0) if value else rows.filter(differing=0)


class Checks(ApiView):
    """List recounts of usage, newest first. Usage is recounted every night."""

    @operation(
        "listUsageChecks",
        "List recounts of usage",
        tag=TAG,
        answers={200: listed("UsageCheckList", UsageCheckOut)},
        filters=CheckFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, UsageCheck.objects.order_by("-pk"), CheckFilter, UsageCheckOut)
