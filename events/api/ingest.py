"""The doors that take events in: one, or a batch of up to a thousand."""

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
        "Malformed; nothing was stored. `details` names the field.",
        f"{INVALID}event_name is required",
        {"event_name": ["is required"]},
    ),
    401: error_response(
        401, "unauthorized", "The key is missing, unknown, revoked or expired.", "The API key is not known."
    ),
    403: error_response(
        403,
        "permission_denied",
        "The key lacks the scope `events:write`.",
        "The API key lacks the scope events:write.",
    ),
    413: error_response(
        413, "payload_too_large", "The body is over 32 MiB; it was not read.", PayloadTooLarge.default_detail
    ),
    429: error_response(
        429,
        "too_many_requests",
        "The key's limit is used up; `Retry-After` says for how many seconds.",
        "The API key may send 60000 single requests a minute. Wait as Retry-After says.",
    ),
    503: error_response(
        503,
        "service_unavailable",
        "The database can't be reached. Send the same again after `Retry-After` seconds.",
        ServiceUnavailable.default_detail,
    ),
}


class IngestDoor(ApiView):
    """What both doors share: key, limit, size, and that 202 is only said when the events are durable."""

    write_scope = Scope.EVENTS_WRITE
    is_idempotent = False  # an event's own id makes it safe to repeat

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Answer JSON, whatever the client says that it accepts."""
        return JSON, JSON.media_type

    def take(self, request: Request) -> accept.Accepted:
        """Store the body's events, all or none. Raises what the API answers otherwise."""
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


class EventIngest(IngestDoor):
    """Receive one event. 202: stored for good, not yet counted. The answer holds its id, made if none was sent."""

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
        accepted = self.take(request)
        return _accepted({"message": "Event accepted for processing", "event_id": accepted.event_ids[0]})


class EventBulkIngest(IngestDoor):
    """Receive 1 to 1,000 events. 202: all stored for good. One malformed event refuses the batch (400)."""

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
        self.take(request)
        return _accepted({"message": "Events accepted for processing"})


def _accepted(body: dict[str, str]) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), status=HTTPStatus.ACCEPTED, content_type="application/json")


def read_body(request: Request) -> bytes:
    """Return the body, whatever its content type. One over the limit is refused before more than that is read."""
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
        raise InvalidRequest("The connection ended before the body did.") from error


def _read_chunked(request: Request) -> bytes:
    """Read a body whose length wasn't announced; Django would take it for empty."""
    body = b""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        stream = request.META["wsgi.input"]
        while part := stream.read(LARGEST_BODY + 1 - len(body)):
            body += part
            if len(body) > LARGEST_BODY:
                raise PayloadTooLarge
    return body
