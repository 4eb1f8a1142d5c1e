"""How operations are described in the OpenAPI schema: id, scope, errors, lists and searches."""

from collections.abc import Callable
from typing import Any

from django_filters import FilterSet, filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from config.api.filters import ManyFilter


class ErrorBody(serializers.Serializer[Any]):
    """Why the request was refused."""

    code = serializers.CharField()
    message = serializers.CharField()
    http_status_code = serializers.IntegerField()
    details = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="Each wrong field with its reasons."
    )


class Pagination(serializers.Serializer[Any]):
    """Where a page is in the whole list."""

    total = serializers.IntegerField(help_text="Counted up to 10,000.")
    is_estimate = serializers.BooleanField(required=False, help_text="There, and true, where the total is an estimate.")
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False, help_text="There while more follows: pass it on as `cursor`.")


class Message(serializers.Serializer[Any]):
    """It is done."""

    message = serializers.CharField()


def error_response(status: int, code: str, description: str, message: str, details: Any = None) -> OpenApiResponse:
    """Describe an error answer, with an example."""
    body = {"code": code, "message": message, "http_status_code": status, "details": details or {}}
    example = OpenApiExample(code, value=body, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(ErrorBody, description, examples=[example])


ERRORS = {
    400: error_response(
        400,
        "validation_error",
        "Malformed (`details` names the fields), or refused as things stand (`invalid_operation`). Nothing changed.",
        "Request validation failed: name: This field is required.",
        {"name": ["This field is required."]},
    ),
    401: error_response(
        401, "unauthorized", "The key is missing, unknown, revoked or expired.", "The API key is not known."
    ),
    403: error_response(
        403, "permission_denied", "The key lacks the scope.", "The API key lacks the scope catalog:write."
    ),
    404: error_response(404, "not_found", "There is no such object.", "There is no plan plan_0."),
    405: error_response(405, "method_not_allowed", "Not with this method.", 'Method "PATCH" not allowed.'),
    409: error_response(409, "already_exists", "The identifier is taken.", "Customer with this id already exists."),
    413: error_response(413, "payload_too_large", "The body is over 32 MiB.", "Request body exceeds the maximum size."),
    415: error_response(
        415, "unsupported_media_type", "The body isn't JSON.", 'Unsupported media type "text/plain" in request.'
    ),
    429: error_response(
        429,
        "too_many_requests",
        "The key's limit is used up; `Retry-After` says for how many seconds.",
        "The API key may send 60000 single requests a minute. Wait as Retry-After says.",
    ),
    503: error_response(
        503, "service_unavailable", "The database can't be reached; try again.", "The service can't store anything."
    ),
}
ALWAYS = (401, 403, 429, 503)


def operation(
    operation_id: str,
    summary: str,
    *,
    tag: str,
    answers: dict[Any, Any],
    errors: tuple[int, ...] = (400,),
    body: Any = None,
    example: Any = None,
    filters: type[FilterSet] | None = None,
    parameters: list[Any] | None = None,
    description: str | None = None,
) -> Callable[[Any], Any]:
    """Describe one operation. Every one may be refused for its key; one with a body also for its size and type."""
    refusals = {*errors, *ALWAYS, *((413, 415) if body is not None else ())}
    shown = {"limit": 20} if example is None and isinstance(body, dict) else example  # a search
    examples = [OpenApiExample(summary, value=shown, request_only=True)] if shown is not None else None
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=description,
        tags=[tag],
        request=body,
        responses=answers | {status: ERRORS[status] for status in sorted(refusals)},
        examples=examples,
        parameters=[*(parameters or []), *(list_parameters(filters) if filters else [])],
        filters=False,
    )


def listed(name: str, item: type[serializers.BaseSerializer[Any]]) -> serializers.BaseSerializer[Any]:
    """Describe a list's answer: the items, and where in the whole they are."""
    return inline_serializer(name, {"items": item(many=True), "pagination": Pagination()})


def list_parameters(filterset: type[FilterSet]) -> list[OpenApiParameter]:
    """Describe a GET list's query parameters: the filters, `limit` and `offset`."""
    own = [
        OpenApiParameter(name, _schema_of(found), description=str(found.extra.get("help_text") or found.label or ""))
        for name, found in filterset.base_filters.items()
    ]
    return [
        *own,
        OpenApiParameter("limit", int, description="1 to 1000; 50 unless given."),
        OpenApiParameter("offset", int, description="How many to pass over. Far into a list a cursor is faster."),
        OpenApiParameter("cursor", str, description="The last answer's `next_cursor`: go on where it ended."),
    ]


def search_body(filterset: type[FilterSet]) -> dict[str, Any]:
    """Describe a search's body: the same filters as the GET list's, `limit`, `offset` and `sort`."""
    properties: dict[str, Any] = {name: _schema_of(found) for name, found in filterset.base_filters.items()}
    direction = {"type": "string", "enum": ["asc", "desc"]}
    properties |= {
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
        "offset": {"type": "integer", "minimum": 0, "default": 0},
        "cursor": {"type": "string", "description": "The last answer's `next_cursor`: go on where it ended."},
        "sort": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": {"type": "string"}, "direction": direction}},
        },
    }
    return {"application/json": {"type": "object", "properties": properties}}


def _schema_of(found: Any) -> dict[str, Any]:
    if isinstance(found, ManyFilter):
        return {"type": "array", "items": {"type": "string"}}
    if isinstance(found, filters.BooleanFilter):
        return {"type": "boolean"}
    if isinstance(found, filters.IsoDateTimeFilter):
        return {"type": "string", "format": "date-time"}
    if isinstance(found, filters.NumberFilter):
        return {"type": "number"}
    return {"type": "string"}
