"""Keep a log of the API requests that were refused."""

from collections.abc import Callable
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from events.keys import prefix_of
from events.refusals import REASONS, record_refusal

API_PREFIX = "/v1/"


class RefusalLogMiddleware:
    """Count every refusal under /v1, whoever answered it: a view, Django itself, or the middleware below this."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code in REASONS and request.path.startswith(API_PREFIX):
            field, message = _what_was_said(response)
            record_refusal(
                status=response.status_code,
                path=request.path,
                key_prefix=prefix_of(request.META.get("HTTP_X_API_KEY", "")),
                field=field,
                message=message,
                now=timezone.now(),
            )
        return response


def _what_was_said(response: HttpResponse) -> tuple[str, str]:
    """Return the first field that the error body names, and its message."""
    body = _body_of(response)
    details = body.get("details")
    field = next(iter(details), "") if isinstance(details, dict) else ""
    return field, str(body.get("message") or response.reason_phrase)


def _body_of(response: HttpResponse) -> dict[str, Any]:
    if isinstance(data := getattr(response, "data", None), dict):
        return data
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
