"""`/metrics` for Prometheus: what the web processes counted, and what the database knows. Off unless it is guarded.

Processes count in files that they share (PROMETHEUS_MULTIPROC_DIR), so that any of them answers for all on its
machine. Workers and beat serve nothing: what they do is in the database.
"""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

import psutil
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from config.server.requests import parse_address


class Source(Protocol):
    """Reads metrics from the database, in a few quick queries."""

    def __call__(self, now: datetime, /) -> Iterator[Metric]: ...


_sources: dict[str, Source] = {}


def register_metrics(name: str, source: Callable[[datetime], Iterator[Metric]]) -> None:
    """Register a source of metrics. Call once, from `AppConfig.ready`. Names begin with `countinghouse_`."""
    _sources[name] = source


class DatabaseCollector(Collector):
    """Collects from all sources. A source that the database refuses is named; the others are collected nevertheless."""

    def collect(self) -> Iterator[Metric]:
        failed = GaugeMetricFamily(
            "countinghouse_source_failed", "1 if these metrics couldn't be read from the database.", labels=["source"]
        )
        now = timezone.now()
        for name, source in _sources.items():
            try:
                yield from list(source(now))
                failed.add_metric([name], 0)
            except Error:
                connection.close_if_unusable_or_obsolete()
                failed.add_metric([name], 1)
        yield failed


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Respond with all metrics to who may read them."""
    if not (settings.METRICS_TOKEN or settings.METRICS_ADDRESSES):
        return HttpResponse("Set METRICS_TOKEN or METRICS_ADDRESSES.\n", status=404, content_type="text/plain")
    if not may_read(request):
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse("Send the token.\n", status=401, content_type="text/plain", headers=headers)
    return HttpResponse(expose(), content_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})


def may_read(request: HttpRequest) -> bool:
    """Tell whether the request has the token, or comes from an allowed address."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    return address is not None and any(address in ip_network(network) for network in settings.METRICS_ADDRESSES)


def expose() -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        _forget_dead(Path(folder))
        MultiProcessCollector(registry, folder)
    registry.register(DatabaseCollector())
    return generate_latest(registry)


def _forget_dead(folder: Path) -> None:
    """Remove the present state of processes that ended. What they counted stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            mark_process_dead(pid, str(folder))
