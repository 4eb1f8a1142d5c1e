"""API views that explain: the dry run of a payload, and usage that isn't billed."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.openapi import operation
from config.api.views import ApiView, read_body
from events.api.serializers.diagnosis import DiagnosisStep
from events.api.tracker import describe_step
from events.diagnosis.dry_run import dry_run
from events.diagnosis.summary import summary_of
from events.reasons import Reason
from events.usage.unbilled import unbilled

LONGEST_PAYLOAD = 1024 * 1024
EVENT = '{"event_name": "tokens.used", "external_customer_id": "acme", "properties": {"tokens": 1280}}'


class DryRunIn(serializers.Serializer[Any]):
    """The body of a request that would send events, as text, or the curl command that would send it."""

    payload = serializers.CharField(max_length=LONGEST_PAYLOAD, trim_whitespace=False)
    index = serializers.IntegerField(
        default=0, min_value=0, max_value=999, help_text="Of a batch, the event to diagnose, counted from 0."
    )


class DryRunOut(serializers.Serializer[Any]):
    """The steps that the event would pass through. Nothing was stored."""

    events = serializers.IntegerField(help_text="The number of events in the payload; 0 if it would be refused.")
    headline = serializers.CharField(allow_null=True, help_text="Whether the event would count.")
    text = serializers.CharField(allow_null=True, help_text="The first reason against it.")
    steps = DiagnosisStep(many=True)


class DryRun(ApiView):
    """Diagnose an event before it is sent: would it be accepted, count, and be billed? Nothing is stored."""

    is_reading = True

    @operation(
        "dryRunEvent",
        "Diagnose an event without sending it",
        refusals="`timestamp` must have a time zone.",
        tag="Events",
        body=DryRunIn,
        answers={200: DryRunOut},
        example={"payload": EVENT},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, DryRunIn)
        result = dry_run(body["payload"], now=timezone.now(), chosen=body["index"])
        summary = summary_of(result.diagnosis) if result.diagnosis else None
        answer = {
            "events": result.events,
            "headline": summary.headline if summary else None,
            "text": summary.text if summary else None,
            "steps": [describe_step(step) for step in result.steps],
        }
        return Response(DryRunOut(answer).data)


class UnbilledOut(serializers.Serializer[Any]):
    """Counted usage of a feature since the start of the month (UTC) that no invoice charges."""

    reason = serializers.ChoiceField(Reason.choices)
    message = serializers.CharField(source="reason.label")
    feature_id = serializers.CharField(source="feature.public_id")
    feature_name = serializers.CharField(source="feature.name")
    customers = serializers.IntegerField()
    customer_id = serializers.CharField(
        source="customer.public_id", default=None, allow_null=True, help_text="Set if there is only one customer."
    )
    events = serializers.IntegerField()
    is_capped = serializers.BooleanField(help_text="Whether there is more usage than was read.")


class UnbilledList(serializers.Serializer[Any]):
    """Unbilled usage, most events first."""

    items = UnbilledOut(many=True)


class Unbilled(ApiView):
    """List this month's usage that isn't billed, because there is no subscription or the plan lacks the feature."""

    @operation("listUnbilledUsage", "List unbilled usage", tag="Usage", answers={200: UnbilledList}, errors=())
    def get(self, request: Request) -> Response:
        return Response(UnbilledList({"items": unbilled(now=timezone.now())}).data)
