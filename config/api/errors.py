"""Errors of the API. Every error has one body, which names its code, message and details.

    {"code", "message", "http_status_code", "details", "success": false, "error": {"code", "message", "details", …}}

`success` and `error` repeat it in the form that some clients read; `internal_error` in it is null.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from rest_framework import exceptions

from config.db.text import writable

CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "already_exists",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
    503: "service_unavailable",
}


class ApiError(exceptions.APIException):
    """Refuse a request with a code, a message and details."""

    status_code = HTTPStatus.BAD_REQUEST
    default_detail = "The request can't be carried out."
    code = "validation_error"

    def __init__(self, message: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message or self.default_detail
        self.details = details or {}


class InvalidRequest(ApiError):
    """Some fields are wrong; `details` lists the reasons by field path."""

    default_detail = "Request validation failed"


class InvalidOperation(ApiError):
    """The object's state doesn't allow the operation (400)."""

    default_detail = "The object's state doesn't allow this operation."
    code = "invalid_operation"


class AlreadyExists(ApiError):
    """An object with this identifier exists already (409)."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "An object with this identifier already exists."
    code = "already_exists"


class KeyInUse(ApiError):
    """Another request with this Idempotency-Key is in progress (409); the client should retry."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "A request with this Idempotency-Key is in progress. Retry in a moment."
    code = "request_in_progress"
    wait = 1


class KeyReused(ApiError):
    """This Idempotency-Key was used for a different request (409)."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "This Idempotency-Key was used for a different request. Use a new key for each new request."
    code = "idempotency_key_reused"


class TooManyRequests(ApiError):
    """The API key has reached its rate limit (429); `wait` is the number of seconds until the next request."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"

    def __init__(self, message: str, *, wait: int, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.wait = wait
        self.headers = headers


class ServiceUnavailable(ApiError):
    """The database can't be reached (503); the client should retry."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The service is temporarily unavailable. Retry the same request."
    code = "service_unavailable"
    wait = 2


class PayloadTooLarge(ApiError):
    """The body or the batch exceeds a limit (413); the message names the limit."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "Request body exceeds the maximum size; split the batch into smaller requests."
    code = "payload_too_large"


def invalid(details: Mapping[str, list[str]]) -> InvalidRequest:
    """Make the 400 whose message names the first wrong field, and whose details list them all."""
    field, reasons = next(iter(details.items()), ("", [""]))
    prefix = "" if field == "non_field_errors" else f"{field}: "
    return InvalidRequest(f"Request validation failed: {prefix}{reasons[0]}", dict(details))


def flat(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Flatten nested reasons into one object: `{"tiers[0].up_to": ["…"]}`."""
    if isinstance(detail, Mapping):
        parts = [flat(inner, _joined(path, name)) for name, inner in detail.items()]
    elif isinstance(detail, list) and any(isinstance(inner, (Mapping, list)) for inner in detail):
        parts = [flat(inner, f"{path}[{index}]") for index, inner in enumerate(detail) if inner]
    else:
        reasons = detail if isinstance(detail, list) else [detail]
        return {path or "non_field_errors": [str(reason) for reason in reasons]}
    return {name: reasons for part in parts for name, reasons in part.items()}


def _joined(path: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    if name == "non_field_errors":
        return path or name
    return f"{path}.{name}" if path else name


def error_body(status: int, message: str, *, code: str = "", details: Any = None) -> dict[str, Any]:
    """Build the body. The code defaults to that of the status; details are always an object.

    Characters that can't be written in UTF-8, repeated from the request, are replaced.
    """
    if not isinstance(details, dict):
        details = {"non_field_errors": details} if details else {}
    error = {
        "code": code or CODES.get(status, "internal_error" if status >= 500 else "validation_error"),
        "message": writable(message),
        "details": _writable_in(details),
    }
    return error | {"http_status_code": int(status), "success": False, "error": error | {"internal_error": None}}


def _writable_in(details: Any) -> Any:
    if isinstance(details, dict):
        return {_writable_in(name): _writable_in(inner) for name, inner in details.items()}
    if isinstance(details, list):
        return [_writable_in(inner) for inner in details]
    return writable(details) if isinstance(details, str) else details
