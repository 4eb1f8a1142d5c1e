"""The page for too many attempts, with the time of the next."""

import time
from datetime import UTC, datetime

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

MINUTE = 60


def too_many(request: HttpRequest, until: float | None = None) -> HttpResponse:
    """Answer 429 with the time from which to try again, in a minute by default. It is also Django's `handler429`."""
    until = until or time.time() + MINUTE
    wait_s = max(1, round(until - time.time()))
    context = {
        **admin.site.each_context(request),
        "title": "Too many attempts",
        "until": datetime.fromtimestamp(until, UTC),
        "minutes": max(1, round(wait_s / MINUTE)),
    }
    response = render(request, "account/too_many.html", context, status=429)
    response.headers["Retry-After"] = str(wait_s)
    response.headers["Cache-Control"] = "no-store"
    return response
