"""Answer errors: those that DRF views raise, and those that Django answers without a view."""

import logging
import math
import sys
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from psycopg.errors import ExclusionViolation, NumericValueOutOfRange, UniqueViolation
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from config.api.errors import (
    AlreadyExists,
    ApiError,
    InvalidOperation,
    InvalidRequest,
    PayloadTooLarge,
    ServiceUnavailable,
    error_body,
    flat,
    invalid,
)
from config.refusals import Refused
from config.server.refused import Refusal, is_api_path, respond
from config.timeouts import describe

logger = logging.getLogger(__name__)


def as_api_error(exc: Exception) -> Exception:
    """Translate refusals of the domain, a model or the database into API errors; return others unchanged."""
    if isinstance(exc, Refused):
        return InvalidOperation(str(exc))
    if isinstance(exc, ValidationError):
        return _model_error(exc)
    if isinstance(exc, exceptions.ValidationError):
        return invalid(flat(exc.detail))
    if isinstance(exc, IntegrityError) and isinstance(exc.__cause__, (UniqueViolation, ExclusionViolation)):
        return AlreadyExists("Another request has just created an object with this identifier.")
    if isinstance(exc, DataError) and isinstance(exc.__cause__, NumericValueOutOfRange):
        return InvalidRequest("A number in the request is too large.")
    if isinstance(exc, UnreadablePostError):
        return InvalidRequest("The connection was closed before the body was complete.")
    if isinstance(exc, (OperationalError, InterfaceError)):
        logger.error("The database couldn't process a request", exc_info=exc)
        return ServiceUnavailable(describe(exc))
    return exc


def _model_error(exc: ValidationError) -> ApiError:
    if not hasattr(exc, "error_dict"):
        return invalid({"non_field_errors": exc.messages})
    taken = {
        name: [message for error in errors for message in error.messages]
        for name, errors in exc.error_dict.items()
        if any(error.code in ("unique", "unique_together") for error in errors)
    }
    if taken:
        return AlreadyExists(next(iter(taken.values()))[0], taken)
    return invalid({("non_field_errors" if k == NON_FIELD_ERRORS else k): v for k, v in exc.message_dict.items()})


def api_exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a DRF view raised into the one error body. None (so: a 500) for unexpected exceptions."""
    error = _as_api_exception(exc)
    if error is None:
        return None
    set_rollback()
    return Response(_body_of(error), status=error.status_code, headers=_headers_of(error))


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
    return is_api_path(request.path)


def _json(status: int, message: str) -> JsonResponse:
    return JsonResponse(error_body(status, message), status=status)


def _page(status: int, message: str) -> HttpResponse:
    return respond(Refusal(status, message), "/")


def unavailable(error: Exception, path: str) -> HttpResponse:
    """Answer 503 outside of a DRF view: in JSON to API clients, with a page to browsers."""
    return respond(Refusal(503, describe(error), {"Retry-After": str(ServiceUnavailable.wait)}), path)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 (or 413, for a body over the limit): JSON to API clients, a page to browsers."""
    if not is_api(request):
        return _page(400, "Go back, reload the page and try again.")
    if isinstance(exception, RequestDataTooBig):
        return _json(413, PayloadTooLarge.default_detail)
    # A suspicious operation's text describes the attempt: it belongs in our log, not in the answer.
    is_suspicious = isinstance(exception, SuspiciousOperation)
    return _json(400, "Invalid request" if is_suspicious else str(exception) or "Invalid request")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403: JSON to API clients, a page to browsers. Staff get a page in the admin's frame instead."""
    if not is_api(request):
        return _page(403, "Sign in as a colleague who has the permission, or go back and reload the page.")
    return _json(403, str(exception) or "You do not have permission to perform this action.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404: JSON to API clients, a page to browsers."""
    if not is_api(request):
        return _page(404, "The address may be mistyped, or what it showed may have been removed.")
    return unknown_path(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without details, which are in the log; or 503 if the database is unavailable or took too long."""
    error = sys.exc_info()[1]
    if isinstance(error, (OperationalError, InterfaceError)):
        return unavailable(error, request.path)
    if is_api(request):
        return _json(500, "An unexpected error occurred. Nothing was changed.")
    return _page(500, "Nothing was changed. Try again; if the error stays, the log says what happened.")


def unknown_path(request: HttpRequest, path: str = "") -> HttpResponse:
    """Answer 404 in JSON for an unknown path of the API, even with DEBUG on."""
    return _json(404, f"There is nothing at {request.path}")
