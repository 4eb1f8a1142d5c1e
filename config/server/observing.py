"""What is noted about each answered request: its time for Prometheus, and a line in the access log."""

import fcntl
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from prometheus_client import Gauge, Histogram

from config.server.callers import API_KEY
from config.server.requests import REQUEST_ID, ROUTE, is_request_id
from config.server.secret_paths import show_path

access_log = logging.getLogger("countinghouse.access")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "OTHER"  # a client can invent methods, and each value of a label is a series
LONGEST_METHOD = 20
PREFIX = 12  # of an API key, which names it in the admin
SAME_S = 5.0  # between two readings of when a process started: the clock may have been set meanwhile
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
            empty_folder(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), server=os.getppid())
        self._series: dict[tuple[str, str, int], Any] = {}

    def note(self, environ: Mapping[str, Any], status: int, seconds: float) -> None:
        """Note an answered request."""
        if self.counts:
            method = environ["REQUEST_METHOD"]
            key = (method if method in METHODS else OTHER, environ.get(ROUTE, "unmatched"), status)
            self._count(key, seconds)
        if self.logs:
            facts = _facts(environ, status, seconds)
            access_log.info("%s %s %s", facts["method"], facts["path"], status, extra=facts)

    def _count(self, key: tuple[str, str, int], seconds: float) -> None:
        series = self._series.get(key)
        if series is None:
            method, route, status = key
            series = self._series[key] = REQUESTS.labels(method, route, str(status))
        series.observe(seconds)


def empty_folder(folder: Path, *, server: int) -> None:
    """Remove the counts of web servers that ended, which would be added to those of this one, the process `server`.

    Each process of a server calls this as it starts. Servers that share the folder, and are alive, keep their counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "servers").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        alive = {pid: started for pid, started in map(str.split, file) if _is_alive(int(pid), float(started))}
        if not alive:
            for path in folder.glob("*.db"):
                path.unlink()
        alive.setdefault(str(server), str(psutil.Process(server).create_time()))
        file.truncate(0)
        file.writelines(f"{pid} {started}\n" for pid, started in alive.items())


def _is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < SAME_S
    except psutil.Error:
        return False


def _facts(environ: Mapping[str, Any], status: int, seconds: float) -> dict[str, Any]:
    request_id = environ.get(REQUEST_ID, "")  # the front refuses some requests before Django has checked it
    return {
        "method": environ["REQUEST_METHOD"][:LONGEST_METHOD],
        "path": show_path(environ["PATH_INFO"]),
        "route": environ.get(ROUTE, "unmatched"),
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
        "address": environ["REMOTE_ADDR"],
        "api_key": environ.get(API_KEY, "")[:PREFIX] or None,
        "request_id": request_id if is_request_id(request_id) else None,
        "user_agent": environ.get("HTTP_USER_AGENT"),
    }
