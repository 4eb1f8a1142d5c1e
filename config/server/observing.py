"""What is noted about each answered request: its time for Prometheus, and a line in the access log."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from prometheus_client import Gauge, Histogram

from config.server.callers import API_KEY
from config.server.requests import REQUEST_ID, ROUTE

access_log = logging.getLogger("countinghouse.access")

PREFIX = 12  # of an API key, which names it in the admin
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REQUESTS = Histogram(
    "countinghouse_http_request_seconds",
    "Requests by method, route and status, from the request's arrival to its answer.",
    ["method", "route", "status"],
    buckets=SECONDS,
)
LANES = Gauge(
    "countinghouse_lane_busiest",
    "The most requests that a lane had in progress and waiting, in the last ten seconds.",
    ["lane"],
    multiprocess_mode="livesum",
)
LANE_THREADS = Gauge(
    "countinghouse_lane_threads",
    "The threads of a lane, each with a connection to the database.",
    ["lane"],
    multiprocess_mode="livesum",
)


class Observer:
    """Notes requests. Switched off, it costs nothing."""

    def __init__(self) -> None:
        self.counts = bool(settings.METRICS_TOKEN or settings.METRICS_ADDRESSES)
        self.logs = bool(settings.ACCESS_LOG)
        if self.counts:
            Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)
        self._series: dict[tuple[str, str, int], Any] = {}

    def note(self, environ: Mapping[str, Any], status: int, seconds: float) -> None:
        """Note an answered request."""
        if self.counts:
            self._count((environ["REQUEST_METHOD"], environ.get(ROUTE, "unmatched"), status), seconds)
        if self.logs:
            access_log.info("%s %s %s", *_line(environ), status, extra=_facts(environ, status, seconds))

    def _count(self, key: tuple[str, str, int], seconds: float) -> None:
        series = self._series.get(key)
        if series is None:
            method, route, status = key
            series = self._series[key] = REQUESTS.labels(method, route, str(status))
        series.observe(seconds)


def _line(environ: Mapping[str, Any]) -> tuple[str, str]:
    return environ["REQUEST_METHOD"], _path(environ)


def _path(environ: Mapping[str, Any]) -> str:
    """Return the path or, if it contains a secret, the route."""
    route = environ.get(ROUTE, "")
    return route if "token" in route else str(environ["PATH_INFO"])


def _facts(environ: Mapping[str, Any], status: int, seconds: float) -> dict[str, Any]:
    return {
        "method": environ["REQUEST_METHOD"],
        "path": _path(environ),
        "route": environ.get(ROUTE, "unmatched"),
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
        "address": environ["REMOTE_ADDR"],
        "api_key": environ.get(API_KEY, "")[:PREFIX] or None,
        "request_id": environ.get(REQUEST_ID),
        "user_agent": environ.get("HTTP_USER_AGENT"),
    }
