"""Answers probes and Prometheus before the host is checked: they ask by IP address, over plain HTTP."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from config.monitoring.exposition import metrics
from config.server.health import livez, readyz

type View = Callable[[HttpRequest], HttpResponse]

PROBES: Final[dict[str, View]] = {"/livez": livez, "/readyz": readyz, "/healthz": readyz, "/metrics": metrics}


class ProbeMiddleware:
    """Call the view of a probe. Comes before any middleware that looks at the host."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = PROBES.get(request.path_info)
        if view is None:
            return self.get_response(request)
        response = view(request)
        response.headers["X-Frame-Options"] = "DENY"
        return response
