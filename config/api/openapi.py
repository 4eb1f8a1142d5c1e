"""Describe operations in the OpenAPI schema: errors, lists and searches."""

from collections.abc import Callable
from typing import Any

from django_filters import FilterSet, filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from config.api.errors import ServiceUnavailable
from config.api.filters import ManyFilter


class ErrorBody(serializers.Serializer[Any]):
    """The error of a failed request."""

    code = serializers.CharField()
    message = serializers.CharField()
    http_status_code = serializers.IntegerField()
    details = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="The reasons by field."
    )


class Pagination(serializers.Serializer[Any]):
    """The position of the page in the list."""

    total = serializers.IntegerField(help_text="Exact up to 10,000, an estimate above.")
    is_estimate = serializers.BooleanField(required=False, help_text="Present and true if the total is an estimate.")
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()
    next_cursor = serializers.CharField(
        required=False, help_text="Present if there are more items. Send it as `cursor` to get the next page."
    )


class Message(serializers.Serializer[Any]):
    """The operation succeeded."""

    message = serializers.CharField()


def error_response(status: int, code: str, description: str, message: str, details: Any = None) -> OpenApiResponse:
    """Describe an error response with an example."""
    body = {"code": code, "message": message, "http_status_code": status, "details": details or {}}
    example = OpenApiExample(code, value=body, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(ErrorBody, description, examples=[example])


ERRORS = {
    400: error_response(
        400,
        "validation_error",
        "Invalid request (`details` lists the fields), or not allowed in the current state (`invalid_operation`). "
        "Nothing was changed.",
        "Request validation failed: name: This field is required.",
        {"name": ["This field is required."]},
    ),
    401: error_response(
        401, "unauthorized", "The API key is missing, unknown, revoked or expired.", "The API key is not known."
    ),
    403: error_response(
        403, "permission_denied", "The API key lacks the required scope.", "The API key lacks the scope catalog:write."
    ),
    404: error_response(404, "not_found", "The object doesn't exist.", "There is no plan plan_0."),
    405: error_response(405, "method_not_allowed", "The method isn't supported.", 'Method "PATCH" not allowed.'),
    409: error_response(
        409, "already_exists", "The identifier is already in use.", "Customer with this id already exists."
    ),
    413: error_response(413, "payload_too_large", "The body exceeds 32 MiB.", "Request body exceeds the maximum size."),
    415: error_response(
        415, "unsupported_media_type", "The body isn't JSON.", 'Unsupported media type "text/plain" in request.'
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
        "The service is temporarily unavailable. Retry the request.",
        ServiceUnavailable.default_detail,
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
    """Describe an operation. All can fail for the API key; those with a body also for its size and type."""
    refusals = {*errors, *ALWAYS, *((413, 415) if body is not None else ())}
    sample = {"limit": 20} if example is None and isinstance(body, dict) else example  # a search
    examples = [OpenApiExample(summary, value=sample, request_only=True)] if sample is not None else None
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
    """Describe the response of a list: its items and pagination."""
    return inline_serializer(name, {"items": item(many=True), "pagination": Pagination()})


def list_parameters(filterset: type[FilterSet]) -> list[OpenApiParameter]:
    """Describe a list's query parameters: filters, `limit`, `offset` and `cursor`."""
    parameters = [
        OpenApiParameter(name, _schema_of(item), description=str(item.extra.get("help_text") or item.label or ""))
        for name, item in filterset.base_filters.items()
    ]
    return [
        *parameters,
        OpenApiParameter("limit", int, description="The number of items per page, from 1 to 1000. Defaults to 50."),
        OpenApiParameter("offset", int, description="The number of items to skip. For long lists, `cursor` is faster."),
        OpenApiParameter("cursor", str, description="The previous page's `next_cursor`, to get the next page."),
    ]


def search_body(filterset: type[FilterSet]) -> dict[str, Any]:
    """Describe a search's body: the list's filters, `limit`, `offset`, `cursor` and `sort`."""
    properties: dict[str, Any] = {name: _schema_of(item) for name, item in filterset.base_filters.items()}
    direction = {"type": "string", "enum": ["asc", "desc"]}
    properties |= {
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
        "offset": {"type": "integer", "minimum": 0, "default": 0},
        "cursor": {"type": "string", "description": "The previous page's `next_cursor`, to get the next page."},
        "sort": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": {"type": "string"}, "direction": direction}},
        },
    }
    return {"application/json": {"type": "object", "properties": properties}}


def _schema_of(item: Any) -> dict[str, Any]:
    if isinstance(item, ManyFilter):
        return {"type": "array", "items": {"type": "string"}}
    if isinstance(item, filters.BooleanFilter):
        return {"type": "boolean"}
    if isinstance(item, filters.IsoDateTimeFilter):
        return {"type": "string", "format": "date-time"}
    if isinstance(item, filters.NumberFilter):
        return {"type": "number"}
    return {"type": "string"}
