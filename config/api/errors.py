"""Every error of the API has one body: `{"code", "message", "http_status_code", "details"}`."""

import math
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from config.db.text import writable

API_PREFIX = "/v1/"
CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "already_exists",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
    503: "service_unavailable",
}


class ApiError(exceptions.APIException):
    """Refuse a request with a code, a sentence and details of our own."""

    status_code = HTTPStatus.BAD_REQUEST
    default_detail = "The request can't be carried out."
    code = "validation_error"

    def __init__(self, message: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message or self.default_detail
        self.details = details or {}


class InvalidRequest(ApiError):
    """Say which fields are wrong; `details` maps each field's path to its reasons."""

    default_detail = "Request validation failed"


class InvalidOperation(ApiError):
    """Say that the object's state doesn't allow what was asked (400)."""

    default_detail = "The object's state doesn't allow this."
    code = "invalid_operation"


class AlreadyExists(ApiError):
    """Say that something with this identifier is there already (409)."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "It exists already."
    code = "already_exists"


class KeyInUse(ApiError):
    """Say that a request with this Idempotency-Key is at work just now (409); the same request again is right."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "A request with this Idempotency-Key is being carried out. Send the same again in a moment."
    code = "request_in_progress"
    wait = 1


class KeyReused(ApiError):
    """Say that this Idempotency-Key was used for another request (409)."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "This Idempotency-Key was used for another request. Use a new key for a new request."
    code = "idempotency_key_reused"


class TooManyRequests(ApiError):
    """Say that the key has used up its limit (429), and in how many seconds the next request is free."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"

    def __init__(self, message: str, *, wait: int, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.wait = wait
        self.headers = headers


class ServiceUnavailable(ApiError):
    """Say that the database can't be reached just now (503); sending the same again later is right."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The service can't store anything just now. Send the same request again."
    code = "service_unavailable"
    wait = 2


class PayloadTooLarge(ApiError):
    """Say that the body or the batch is over a limit (413); the message names the limit."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "Request body exceeds the maximum size; split the batch into smaller requests."
    code = "payload_too_large"


def error_body(status: int, message: str, *, code: str = "", details: Any = None) -> dict[str, Any]:
    """Build the body. Without a code, the status's own; details are always an object.

    What an error repeats of a request that can't be written in UTF-8 is replaced.
    """
    if not isinstance(details, dict):
        details = {"non_field_errors": details} if details else {}
    return {
        "code": code or CODES.get(status, "internal_error" if status >= 500 else "validation_error"),
        "message": writable(message),
        "http_status_code": int(status),
        "details": _writable_in(details),
    }


def _writable_in(details: Any) -> Any:
    if isinstance(details, dict):
        return {_writable_in(name): _writable_in(inner) for name, inner in details.items()}
    if isinstance(details, list):
        return [_writable_in(inner) for inner in details]
    return writable(details) if isinstance(details, str) else details


def api_exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a DRF view raised into the one error body. None (so: a 500) for anything unforeseen."""
    known = _as_api_exception(exc)
    if known is None:
        return None
    from rest_framework.views import set_rollback  # importing the views imports the parsers, which import this

    set_rollback()
    return Response(_body_of(known), status=known.status_code, headers=_headers_of(known))


def _as_api_exception(exc: Exception) -> exceptions.APIException | None:
    if isinstance(exc, exceptions.APIException):
        return exc
    if isinstance(exc, Http404):
        return exceptions.NotFound(str(exc) or None)
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied(str(exc) or None)
    if isinstance(exc, RequestDataTooBig):
        return PayloadTooLarge()
    return None


def _body_of(exc: exceptions.APIException) -> dict[str, Any]:
    if isinstance(exc, ApiError):
        return error_body(exc.status_code, exc.message, code=exc.code, details=exc.details)
    if isinstance(exc, exceptions.ValidationError):
        return error_body(exc.status_code, InvalidRequest.default_detail, details=exc.detail)
    return error_body(exc.status_code, str(exc.detail))


def _headers_of(exc: exceptions.APIException) -> dict[str, str]:
    headers = dict(getattr(exc, "headers", {}))
    if authenticate := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = authenticate
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    return headers


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith(API_PREFIX) or request.path == API_PREFIX.rstrip("/")


def _json(status: int, message: str) -> JsonResponse:
    return JsonResponse(error_body(status, message), status=status)


def unavailable() -> JsonResponse:
    """Answer 503 where no view of DRF's is there to do it."""
    refusal = ServiceUnavailable()
    body = error_body(refusal.status_code, refusal.message, code=refusal.code)
    return JsonResponse(body, status=refusal.status_code, headers={"Retry-After": str(refusal.wait)})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 (or 413, for a body over the limit): JSON to the API, Django's page to a browser."""
    if not is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return _json(413, PayloadTooLarge.default_detail)
    # The text of a suspicious operation names what was tried, which is for our log and not for the sender.
    foreseen = not isinstance(exception, SuspiciousOperation)
    return _json(400, str(exception) if foreseen and str(exception) else "Invalid request")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403: JSON to the API, Django's page to a browser."""
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    return _json(403, str(exception) or "You do not have permission to perform this action.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404: JSON to the API, Django's page to a browser."""
    if not is_api(request):
        return defaults.page_not_found(request, exception)
    return unknown_path(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without a word about what went wrong inside: that is in the log."""
    if is_api(request):
        return _json(500, "An unexpected error occurred. Nothing was changed.")
    return defaults.server_error(request)


def unknown_path(request: HttpRequest, path: str = "") -> HttpResponse:
    """Answer 404 in JSON where no door of the API is, also with DEBUG on."""
    return _json(404, f"There is nothing at {request.path}")
