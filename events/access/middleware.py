"""Log refused API requests, and let event requests skip the middleware that only browsers need."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.functional import cached_property

from config.server.refused import REFUSAL
from events.access.authentication import REFUSED_KEY
from events.access.keys import KeyRefused, KeysUnavailable, authenticate
from events.access.refused_requests import REASONS, record_refusal

API_PREFIX = "/v1/"


class RefusalLogMiddleware:
    """Log every refusal under /v1, from a view, from Django itself or from the middleware below."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code in REASONS and request.path.startswith(API_PREFIX):
            now = timezone.now()
            key_prefix = _find_key(request, now)
            field, message = _error_of(response)
            record_refusal(
                status=response.status_code,
                path=request.path if key_prefix else _find_endpoint(request),
                key_prefix=key_prefix,
                field=field if key_prefix else "",
                message=message,
                now=now,
                address=request.META.get("REMOTE_ADDR") or None,
            )
        return response


class IngestLaneMiddleware:
    """Call the ingest views directly. Sessions, CSRF, messages and page headers are of no use to an API client, and
    would cost as much as storing the event. Middleware listed before this one still applies.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = self.views.get(request.path_info) if request.method == "POST" else None
        if view is None:
            return self.get_response(request)
        request.get_host()  # refuses an unknown host, as CommonMiddleware would
        response = view(request)
        if isinstance(response, SimpleTemplateResponse):
            response.render()
        response.headers["Content-Length"] = str(len(response.content))  # as CommonMiddleware would
        return response

    @cached_property
    def views(self) -> dict[str, Callable[[HttpRequest], HttpResponse]]:
        paths = [reverse(name) for name in ("event-ingest", "event-bulk-ingest")]
        return {path: resolve(path).func for path in paths}


def _find_key(request: HttpRequest, now: datetime) -> str | None:
    """Return the prefix of the key that was sent, or None for a stranger. The front refuses before a key is checked."""
    if request.META.get(REFUSAL) is None:
        caller = getattr(request, "auth", None)
        return caller.prefix if caller else request.META.get(REFUSED_KEY) or None
    try:
        return authenticate(request.META.get("HTTP_X_API_KEY", "").strip(), now=now).prefix
    except KeyRefused as refusal:
        return refusal.prefix or None
    except KeysUnavailable:
        return None


def _find_endpoint(request: HttpRequest) -> str:
    """Return the path with names instead of what was sent, such as `/v1/customers/{customer_id}`."""
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return f"{API_PREFIX}…"
    path = f"{request.path_info}/"
    for name, value in match.kwargs.items():
        before, found, after = path.rpartition(f"/{value}/")
        path = f"{before}/{{{name}}}/{after}" if found else path
    return path.rstrip("/")


def _error_of(response: HttpResponse) -> tuple[str, str]:
    """Return the first field named in the error body, and its message."""
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
