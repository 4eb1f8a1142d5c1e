"""Answers to requests that aren't carried out: in JSON under /v1, as a page elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from config.api.errors import error_body

API = "/v1"
REFUSAL = "countinghouse.refusal"  # in the environment of a request that the front refuses
HEADINGS = {
    400: "The request can't be read",
    403: "This isn't permitted",
    404: "There is no such page",
    408: "The request took too long to arrive",
    413: "The request is too large",
    429: "Too many requests at a time",
    500: "An unexpected error occurred",
    503: "The service is busy",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request isn't carried out, in a sentence, and headers of the answer."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


def is_api_path(path: str) -> bool:
    return path.startswith(f"{API}/") or path == API


def render(refusal: Refusal, path: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of the answer to a request to this path."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **refusal.headers}
    if is_api_path(path):
        body = error_body(refusal.status, refusal.message)
        return headers | {"Content-Type": "application/json"}, orjson.dumps(body)
    page = render_to_string("refused.html", {"heading": HEADINGS[refusal.status], "message": refusal.message})
    return headers | {"Content-Type": "text/html; charset=utf-8"}, page.encode()


def respond(refusal: Refusal, path: str) -> HttpResponse:
    """Return the answer as Django's response."""
    headers, body = render(refusal, path)
    return HttpResponse(body, status=refusal.status, headers=headers)


class RefusedMiddleware:
    """Answer requests that the front refuses but Django is to log: those over a limit."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal: Refusal | None = request.META.get(REFUSAL)
        return self.get_response(request) if refusal is None else respond(refusal, request.path)
