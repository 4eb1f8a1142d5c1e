"""Describe operations in the OpenAPI schema: errors, lists and searches."""

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from django_filters import FilterSet, filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from config.api.conditions import LOOKUPS, comparables
from config.api.contract import NullField
from config.api.errors import ServiceUnavailable, error_body
from config.api.filters import FARTHEST, ManyFilter, Pages
from config.api.ordering import ORDERS, sortable
from config.api.unknown_names import Names, Unused, names_of
from config.approvals.serializers import ApprovalOut


class ErrorDetail(serializers.Serializer[Any]):
    """What is wrong."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="The reasons by field."
    )


class ErrorForClients(ErrorDetail):
    """The error again, for clients that read errors here."""

    internal_error = NullField()


class ErrorBody(ErrorDetail):
    """The error of a failed request."""

    http_status_code = serializers.IntegerField()
    success = serializers.ChoiceField([False])
    error = ErrorForClients()


MOST = Pages.max_limit
LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST}
OFFSET = {"type": "integer", "minimum": 0, "maximum": FARTHEST}


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
    body = error_body(status, message, code=code, details=details)
    example = OpenApiExample(code, value=body, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(ErrorBody, description, examples=[example])


ERRORS = {
    400: error_response(
        400,
        "validation_error",
        "Invalid request (`details` lists the fields), or not allowed in the current state (`invalid_operation`). "
        "Nothing was changed. Texts can't contain the NUL character, and a text with a minimum length can't be only "
        "white space. Dates are from 1970 to 2200. Names of time zones, currencies and countries must exist. A "
        "`cursor` must be the `next_cursor` of the same list, which isn't sorted. The `value` of a search's "
        "condition is under the name of the field's type.",
        "Request validation failed: name: This field is required.",
        {"name": ["This field is required."]},
    ),
    401: error_response(
        401, "unauthorized", "The API key is missing, unknown, revoked or expired.", "The API key is not known."
    ),
    403: error_response(
        403, "permission_denied", "The API key lacks the required scope.", "The API key lacks the scope catalog:write."
    ),
    404: error_response(404, "not_found", "The object doesn't exist.", "There is no plan “plan_0”."),
    405: error_response(405, "method_not_allowed", "The method isn't supported.", 'Method "PATCH" not allowed.'),
    409: error_response(
        409, "already_exists", "The identifier is already in use.", "Customer with this id already exists."
    ),
    413: error_response(413, "payload_too_large", "The body exceeds 32 MiB.", "Request body exceeds the maximum size."),
    415: error_response(
        415,
        "unsupported_media_type",
        "The body's Content-Encoding isn't gzip.",
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
        "The service is temporarily unavailable. Retry the request.",
        ServiceUnavailable.default_detail,
    ),
}
WAITS = OpenApiResponse(
    ApprovalOut,
    "A rule requires approval by a second person. Nothing is done yet: this is the request, which is carried out once "
    "someone else approves it. Repeating the request answers with the same `id` while it waits.",
)
RULE_OF_CONDITIONS = "In `filters`, the `operator` and the `data_type` of the `value` must suit the `field`."
ALWAYS = (400, 401, 403, 429, 503)


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
    refusals: str = "",
    may_wait: bool = False,
) -> Callable[[Any], Any]:
    """Describe an operation. All can fail for the API key; those with a body also for its size and type.

    `refusals` says which rules a request must follow beyond its schema, with the names of fields in backticks.
    `may_wait` tells that the action can need approval by a second person.
    """
    statuses = {*errors, *ALWAYS, *((413, 415) if body is not None else ())}
    responses = answers | {status: ERRORS[status] for status in sorted(statuses)}
    if isinstance(body, SearchBody):
        refusals = f"{refusals} {RULE_OF_CONDITIONS}".strip()
    if refusals:
        responses[400] = _with_rules(ERRORS[400], refusals)
    if may_wait:
        responses[202] = WAITS
    sample = {"limit": 20} if example is None and isinstance(body, dict) else example  # a search
    examples = [OpenApiExample(summary, value=sample, request_only=True)] if sample is not None else None
    all_parameters = [*(parameters or []), *(list_parameters(filters) if filters else [])]
    description_of = extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=description,
        tags=[tag],
        request=body,
        responses=responses,
        examples=examples,
        parameters=all_parameters,
        filters=False,
    )

    def describe(method: Any) -> Any:
        method.reads = Reads(_names_of_query(all_parameters, filters), _names_of_body(body), _has_key(body))
        return description_of(method)

    return describe


def _with_rules(response: OpenApiResponse, rules: str) -> OpenApiResponse:
    described = copy(response)
    described.description = f"{response.description} {rules}"
    return described


@dataclass(frozen=True, slots=True)
class Reads:
    """What an operation reads: the names of its query, and those of its body unless `read_body` checks its fields.

    `has_key` tells whether its body can contain an `idempotency_key`.
    """

    query: Names
    body: Names | None
    has_key: bool = False


def _names_of_query(parameters: list[Any], filters: type[FilterSet] | None) -> Names:
    known: set[str] = set()
    unused: dict[str, Unused] = dict(getattr(filters, "unused", {}))
    for parameter in parameters:
        if isinstance(parameter, OpenApiParameter):
            known.add(parameter.name)
        else:
            names = names_of(parameter())
            known |= names.known
            unused |= names.unused
    return Names(frozenset(known), unused)


def _names_of_body(body: Any) -> Names | None:
    if body is None:
        return Names()
    if isinstance(body, SearchBody):
        return Names(frozenset(body["application/json"]["properties"]), body.unused)
    return None


def _has_key(body: Any) -> bool:
    return isinstance(body, type) and "idempotency_key" in getattr(body, "_declared_fields", {})


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
        OpenApiParameter("limit", LIMIT, description=f"Items per page, from 1 to {MOST}. Defaults to 50."),
        OpenApiParameter("offset", OFFSET, description="Items to skip. For long lists, `cursor` is faster."),
        OpenApiParameter("cursor", str, description="The previous page's `next_cursor`, to get the next page."),
        OpenApiParameter("sort", _sort_schema(filterset), description="The field to sort by."),
        OpenApiParameter("order", str, enum=ORDERS, description="Defaults to desc: newest first."),
        expand_parameter(filterset),
    ]


def expand_parameter(filterset: type[FilterSet]) -> OpenApiParameter:
    """Describe `expand`, which `config.api.filters.read_expansions` reads."""
    return OpenApiParameter("expand", _expand_schema(filterset), description=_expand_text(filterset))


class SearchBody(dict[str, Any]):
    """The schema of a search's body, by content type, and the names that change nothing."""

    unused: Mapping[str, Unused] = {}


def search_body(filterset: type[FilterSet]) -> SearchBody:
    """Describe a search's body: the list's filters, `limit`, `offset`, `cursor` and `sort`."""
    properties: dict[str, Any] = {name: _schema_of(item) for name, item in filterset.base_filters.items()}
    direction = {"type": "string", "enum": ORDERS}
    field = _sort_schema(filterset)
    properties |= {
        "limit": LIMIT | {"default": 50},
        "offset": OFFSET | {"default": 0},
        "cursor": {"type": "string", "description": "The previous page's `next_cursor`, to get the next page."},
        "sort": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": field, "direction": direction}, "required": ["field"]},
        },
        "order": direction | {"description": "Without `sort`: the order by creation. Defaults to desc."},
        "expand": _expand_schema(filterset) | {"description": _expand_text(filterset)},
    }
    properties["filters"] = {"type": "array", "items": _condition_schema(filterset)}
    if getattr(filterset, "searches_metadata", False):
        properties["metadata"] = {"type": "object", "additionalProperties": {"type": "string"}}
    body = SearchBody({"application/json": {"type": "object", "properties": properties}})
    body.unused = getattr(filterset, "unused", {})
    return body


def _condition_schema(filterset: type[FilterSet]) -> dict[str, Any]:
    """Describe a condition of a search's `filters`."""
    text = {"type": "string"}
    value = {
        "string": text,
        "number": {"type": "number"},
        "boolean": {"type": "boolean"},
        "date": text | {"format": "date-time"},
        "array": {"type": "array", "items": text},
    }
    model = filterset._meta.model
    properties = {
        "field": text | {"enum": sorted(comparables(model, filterset)) if model else []},
        "operator": text | {"enum": sorted(LOOKUPS)},
        "data_type": text | {"enum": list(value)},
        "value": {"type": "object", "properties": value, "additionalProperties": False},
    }
    required = ["field", "operator", "value"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _sort_schema(filterset: type[FilterSet]) -> dict[str, Any]:
    fields = sorted(sortable(filterset))
    return {"type": "string", "enum": fields} if fields else {"type": "string", "maxLength": 0}


def _expand_schema(filterset: type[FilterSet]) -> dict[str, Any]:
    """Describe names separated by commas; without any, only an empty text."""
    names = "|".join(re.escape(name) for name in getattr(filterset, "expandable", ()))
    return (
        {"type": "string", "pattern": f"^(?:(?:{names})(?:,(?:{names}))*)?$"}
        if names
        else {"type": "string", "maxLength": 0}
    )


def _expand_text(filterset: type[FilterSet]) -> str:
    names = ", ".join(f"`{name}`" for name in getattr(filterset, "expandable", ()))
    return f"Separated by commas: {names}." if names else "Nothing can be expanded: items are complete."


def _schema_of(item: Any) -> dict[str, Any]:
    if isinstance(item, ManyFilter):
        names = list(item.extra.get("choices") or ())
        return {"type": "array", "items": {"type": "string"} | ({"enum": names} if names else {})}
    if isinstance(item, filters.ChoiceFilter):
        return {"type": "string", "enum": [name for name, _ in item.extra["choices"]]}
    if isinstance(item, filters.BooleanFilter):
        return {"type": "boolean"}
    if isinstance(item, filters.IsoDateTimeFilter):
        return {"type": "string", "format": "date-time"}
    if isinstance(item, filters.NumberFilter):
        return {"type": "number"}
    return {"type": "string"}
