"""API views that receive events: one, or a batch of up to 1,000."""

from datetime import datetime
from http import HTTPStatus

import orjson
from django.http import HttpResponse, UnreadablePostError
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
from events.api.serializers import ONE_EVENT, EventAccepted, EventBatchBody, EventBody, EventsAccepted
from events.ingest import accept, payload
from events.ingest.nudge import nudge
from events.ingest.payload import LARGEST_BODY, IncomingEvent, PayloadRefused
from events.models import Scope

JSON = JSONRenderer()
INVALID = "Request validation failed: "
REFUSALS = {
    400: error_response(
        400,
        "validation_error",
        "Invalid request; nothing was stored. `details` names the field.",
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
        413, "payload_too_large", "The body exceeds 32 MiB; it was not read.", PayloadTooLarge.default_detail
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


class IngestView(ApiView):
    """The base of both ingest views: 202 is only answered once the events are stored durably."""

    write_scope = Scope.EVENTS_WRITE
    is_idempotent = False  # an event's own id makes it safe to repeat

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Answer JSON, whatever the Accept header says."""
        return JSON, JSON.media_type

    def store(self, request: Request) -> accept.Accepted:
        """Store the body's events, all or none. Raises API errors."""
        received_at = timezone.now()
        try:
            events = self.parse(read_body(request), received_at)
            accepted = accept.accept(events, api_key_id=caller_of(request).key_id, received_at=received_at)
        except PayloadRefused as refused:
            raise InvalidRequest(f"{INVALID}{refused}", {refused.field: [refused.reason]}) from refused
        except accept.ContentRefused as refused:
            raise InvalidRequest(f"{INVALID}{refused}") from refused
        except accept.InboxUnavailable as error:
            raise ServiceUnavailable from error
        nudge()
        return accepted

    def parse(self, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        raise NotImplementedError


class EventIngest(IngestView):
    """Receive one event. 202 means stored durably; it is counted shortly after.

    The answer contains the event's id, generated if none was sent.
    """

    def parse(self, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        return [payload.parse_event(body, received_at=received_at)]

    @extend_schema(
        operation_id="ingestEvent",
        summary="Send an event",
        tags=["Events"],
        request=EventBody,
        responses={202: EventAccepted, **REFUSALS},
        examples=[OpenApiExample("An event", value=ONE_EVENT, request_only=True)],
    )
    def post(self, request: Request) -> HttpResponse:
        accepted = self.store(request)
        return _accepted({"message": "Event accepted for processing", "event_id": accepted.event_ids[0]})


class EventBulkIngest(IngestView):
    """Receive 1 to 1,000 events. 202 means all are stored durably. One invalid event refuses the batch (400)."""

    limit = limits.Kind.BULK

    def parse(self, body: bytes, received_at: datetime) -> list[IncomingEvent]:
        return payload.parse_batch(body, received_at=received_at)

    @extend_schema(
        operation_id="ingestEventsBulk",
        summary="Send up to 1,000 events",
        tags=["Events"],
        request=EventBatchBody,
        responses={202: EventsAccepted, **REFUSALS},
        examples=[OpenApiExample("A batch", value={"events": [ONE_EVENT]}, request_only=True)],
    )
    def post(self, request: Request) -> HttpResponse:
        self.store(request)
        return _accepted({"message": "Events accepted for processing"})


def _accepted(body: dict[str, str]) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), status=HTTPStatus.ACCEPTED, content_type="application/json")


def read_body(request: Request) -> bytes:
    """Return the body, whatever its content type. A body over the limit is refused without reading all of it."""
    meta = request.META
    encoding = meta.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(encoding, "Send the body without a Content-Encoding.")
    try:
        if meta.get("CONTENT_LENGTH"):
            if int(meta["CONTENT_LENGTH"]) > LARGEST_BODY:
                raise PayloadTooLarge
            return bytes(request.body)
        return _read_chunked(request)
    except UnreadablePostError as error:
        raise InvalidRequest("The connection was closed before the body was complete.") from error


def _read_chunked(request: Request) -> bytes:
    """Read a body without a Content-Length, which Django would treat as empty."""
    body = b""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        stream = request.META["wsgi.input"]
        while part := stream.read(LARGEST_BODY + 1 - len(body)):
            body += part
            if len(body) > LARGEST_BODY:
                raise PayloadTooLarge
    return body
