"""API views that receive events: one, or a batch of up to 1,000."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from config.api.errors import InvalidRequest, PayloadTooLarge, ServiceUnavailable
from config.api.openapi import error_response
from config.api.views import ApiView
from events.access import limits
from events.access.authentication import caller_of
from events.api.serializers.ingest import (
    ONE_CLOUD_EVENT,
    ONE_EVENT,
    CloudEventBody,
    EventAccepted,
    EventBatchBody,
    EventBody,
    EventsAccepted,
)
from events.ingest import accept, cloud_events, payload
from events.ingest.hints import warn_about_text
from events.ingest.nudge import nudge
from events.ingest.payload import IncomingEvent, PayloadRefused
from events.models import Scope

JSON = JSONRenderer()
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_BATCH = "application/cloudevents-batch+json"
INVALID = "Request validation failed: "
REFUSALS = {
    400: error_response(
        400,
        "validation_error",
        "Invalid request; nothing was stored. `details` names the field. A batch's `body` has 1 to 1,000 events. The "
        "`timestamp`, or a CloudEvent's `time`, can't be before the earliest year or too many days ahead. A "
        "CloudEvent's `id`, `type` and `subject` can't be empty. Texts can't contain the NUL character.",
        f"{INVALID}event_name is required",
        {"event_name": ["is required"]},
    ),
    401: error_response(
        401, "unauthorized", "The API key is missing, unknown, revoked or expired.", "The API key is not known."
    ),
    403: error_response(
        403,
        "permission_denied",
        "The API key lacks the scope `events:write`.",
        "The API key lacks the scope events:write.",
    ),
    413: error_response(
        413,
        "payload_too_large",
        "The body exceeds 32 MiB, before or after decompression.",
        PayloadTooLarge.default_detail,
    ),
    415: error_response(
        415,
        "unsupported_media_type",
        "The body's Content-Encoding isn't gzip, or CloudEvents have another format than JSON.",
        "Send the body as it is, or compressed with gzip.",
    ),
    429: error_response(
        429,
        "too_many_requests",
        "The API key has reached its rate limit. Retry after the number of seconds in `Retry-After`.",
        "This API key is limited to 60000 single requests per minute. Wait for the number of seconds in Retry-After.",
    ),
    503: error_response(
        503,
        "service_unavailable",
        "The service is temporarily unavailable. Retry the same request after `Retry-After` seconds.",
        ServiceUnavailable.default_detail,
    ),
}


ONE_CLOUD_EVENT_EXAMPLE = OpenApiExample(
    "A CloudEvent", value=ONE_CLOUD_EVENT, request_only=True, media_type=CLOUD_EVENT
)


class IngestView(ApiView):
    """The base of both ingest views: 202 is only answered once the events are stored durably."""

    write_scope = Scope.EVENTS_WRITE
    is_idempotent = False  # an event's own id makes it safe to repeat
    cloud_event_types: ClassVar[dict[str, Callable[..., list[IncomingEvent]]]] = {
        CLOUD_EVENT: cloud_events.parse_structured
    }

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Answer JSON, whatever the Accept header says."""
        return JSON, JSON.media_type

    def store(self, request: Request) -> tuple[str, str]:
        """Store the body's events, all or none; return the first event's id and a warning. Raises API errors."""
        received_at = timezone.now()
        try:
            events = self.read(request, received_at)
            accepted = accept.accept(events, api_key_id=caller_of(request).key_id, received_at=received_at)
        except PayloadRefused as refused:
            raise InvalidRequest(f"{INVALID}{refused}", {refused.field: [refused.reason]}) from refused
        except accept.ContentRefused as refused:
            raise InvalidRequest(f"{INVALID}{refused}") from refused
        except accept.InboxUnavailable as error:
            raise ServiceUnavailable from error
        nudge()
        return accepted.event_ids[0], warn_about_text(events)

    def read(self, request: Request, received_at: datetime) -> list[IncomingEvent]:
        """Read the body's events: CloudEvents in one of their forms, or else JSON, whatever the content type."""
        body, meta = request._request.body, request.META
        if "cloudevents" in (content_type := meta.get("CONTENT_TYPE", "").lower()):
            return self.parse_cloud_events(content_type.partition(";")[0].strip(), body, received_at)
        if "HTTP_CE_SPECVERSION" in meta:
            return cloud_events.parse_binary(_ce_headers(meta), body, received_at=received_at)
        return self.parse(body, received_at)

    def parse(self, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        raise NotImplementedError

    def parse_cloud_events(self, media_type: str, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        parse = self.cloud_event_types.get(media_type)
        if parse is None:
            names = " or ".join(self.cloud_event_types)
            raise UnsupportedMediaType(media_type, f"Send CloudEvents as {names}; a batch to /v1/events/bulk.")
        return parse(body, received_at=received_at)


class EventIngest(IngestView):
    """Receive one event. 202 means stored durably; it is counted shortly after.

    The answer contains the event's id, generated if none was sent. CloudEvents are accepted in the structured and the
    binary form: `id` becomes the `event_id`, `type` the `event_name`, `subject` the `external_customer_id`, `time` the
    `timestamp`, and `data` the `properties`.
    """

    def parse(self, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        return [payload.parse_event(body, received_at=received_at)]

    @extend_schema(
        operation_id="ingestEvent",
        summary="Send an event",
        tags=["Events"],
        request={JSON.media_type: EventBody, CLOUD_EVENT: CloudEventBody},
        responses={202: EventAccepted, **REFUSALS},
        examples=[
            OpenApiExample("An event", value=ONE_EVENT, request_only=True, media_type=JSON.media_type),
            ONE_CLOUD_EVENT_EXAMPLE,
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        event_id, warning = self.store(request)
        return _accepted({"message": "Event accepted for processing", "event_id": event_id}, warning)


class EventBulkIngest(IngestView):
    """Receive 1 to 1,000 events. 202 means all are stored durably. One invalid event refuses the batch (400).

    CloudEvents are accepted in all three forms: batched, structured and binary.
    """

    limit = limits.Kind.BULK
    cloud_event_types = {CLOUD_EVENT: cloud_events.parse_structured, CLOUD_BATCH: cloud_events.parse_batched}

    def parse(self, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        return payload.parse_batch(body, received_at=received_at)

    @extend_schema(
        operation_id="ingestEventsBulk",
        summary="Send up to 1,000 events",
        tags=["Events"],
        request={
            JSON.media_type: EventBatchBody,
            CLOUD_BATCH: CloudEventBody(many=True),
            CLOUD_EVENT: CloudEventBody,
        },
        responses={202: EventsAccepted, **REFUSALS},
        examples=[
            OpenApiExample("A batch", value={"events": [ONE_EVENT]}, request_only=True, media_type=JSON.media_type),
            OpenApiExample(
                "A batch of CloudEvents",
                value=ONE_CLOUD_EVENT,  # put in a list, as the body is one
                request_only=True,
                media_type=CLOUD_BATCH,
            ),
            ONE_CLOUD_EVENT_EXAMPLE,
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        _, warning = self.store(request)
        return _accepted({"message": "Events accepted for processing"}, warning)


def _ce_headers(meta: dict[str, Any]) -> dict[str, str]:
    return {name[8:].lower(): value for name, value in meta.items() if name.startswith("HTTP_CE_")}


def _accepted(body: dict[str, str], warning: str) -> HttpResponse:
    if warning:
        body["warning"] = warning
    return HttpResponse(orjson.dumps(body), status=HTTPStatus.ACCEPTED, content_type="application/json")
