"""The API view of the self-test's results, and the receiver of its webhook."""

import json
from http import HTTPStatus
from typing import Any, ClassVar

import django_filters as filters
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from billing.models import SelfTest, SelfTestStage
from billing.self_test.sending import webhook_secret
from config.api.fields import BlankAsNullField
from config.api.filters import MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView


class SelfTestFilter(filters.FilterSet):
    is_failed = filters.BooleanFilter(field_name="failed_stage", lookup_expr="exact", method="filter_failed")
    started_from = MomentFilter(field_name="started_at", lookup_expr="gte", label="The earliest start, inclusive.")
    started_to = MomentFilter(field_name="started_at", lookup_expr="lt", label="The latest start, exclusive.")

    class Meta:
        model = SelfTest
        fields: ClassVar[list[str]] = []

    def filter_failed(self, rows: Any, name: str, value: bool) -> Any:
        return rows.exclude(failed_stage="") if value else rows.filter(failed_stage="")


class StageOut(serializers.Serializer[Any]):
    """A stage that passed, and how long it took."""

    stage = serializers.ChoiceField(SelfTestStage.choices)
    duration_ms = serializers.IntegerField(source="milliseconds")


class SelfTestOut(serializers.Serializer[Any]):
    """A pass of the self-test: known usage is sent, counted, invoiced, written as PDF and reported by webhook."""

    id = serializers.CharField(source="pk")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    stages = StageOut(many=True, source="passed_stages", help_text="The stages that passed, in order.")
    failed_stage = serializers.ChoiceField(SelfTestStage.choices, allow_null=True, source="stopped_at")
    problem = BlankAsNullField(help_text="What happened instead of what was expected.")


class SelfTests(ApiView):
    """List the results of the self-test, the newest first."""

    @operation(
        "listSelfTests",
        "List self-tests",
        tag="Self-tests",
        filters=SelfTestFilter,
        answers={200: listed("SelfTestList", SelfTestOut)},
        description="Results of the self-test (`SELF_TEST=on`), the newest first. Passes are kept for two days, "
        "failures for `LOG_DAYS`.",
    )
    def get(self, request: Request) -> Response:
        return page(request, SelfTest.objects.order_by("-pk"), SelfTestFilter, SelfTestOut)


@csrf_exempt
@require_POST
def receive_webhook(request: HttpRequest) -> HttpResponse:
    """Verify the self-test's webhook as a receiver does, and answer with what it says. Nothing is stored."""
    try:
        Webhook(webhook_secret()).verify(request.body, {name.lower(): value for name, value in request.headers.items()})
    except WebhookVerificationError:
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED)
    message = json.loads(request.body)
    return JsonResponse({"event_type": message["event_type"], "total": message["invoice"]["total"]})
