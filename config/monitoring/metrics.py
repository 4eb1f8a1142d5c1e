"""Metrics of what every installation has: processes, tasks, schedules, alarms, webhooks, the database."""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection
from django.db.models import Count, Max, Min, Q
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from config.alarms.models import Alarm
from config.monitoring.disk import measure_disk
from config.monitoring.exposition import register_metrics
from config.monitoring.locks import find_holders
from config.monitoring.models import Heartbeat, TaskRecord
from config.monitoring.schedules import read_schedules
from config.monitoring.sizes import measure_database
from config.version import VERSION
from config.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint

CONNECTIONS = """
    SELECT coalesce(state, 'hidden'), count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1
"""


def gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a metric with one value, or with none if it isn't known."""
    return GaugeMetricFamily(f"countinghouse_{name}", text, value=value)


def labeled(name: str, text: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    """Return a metric with a value for each label."""
    family = GaugeMetricFamily(f"countinghouse_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def read_processes(now: datetime) -> Iterator[Metric]:
    """Yield the release, and when each kind of process was last alive."""
    yield labeled("build_info", "1, with the version of this release.", "version", {VERSION: 1})
    rows = Heartbeat.objects.values_list("process").annotate(Max("seen_at"), Max("clock_ahead_s"), Min("clock_ahead_s"))
    beats = list(rows)
    ages = {process: max((now - seen_at).total_seconds(), 0) for process, seen_at, _, _ in beats}
    yield labeled("process_silent_seconds", "For how long no process of this kind was seen alive.", "process", ages)
    apart = {process: max(abs(most), abs(least)) for process, _, most, least in beats}
    yield labeled("clock_differs_seconds", "How far a clock differs from the database's.", "process", apart)


def read_tasks(now: datetime) -> Iterator[Metric]:
    """Yield how often and how long tasks ran, when they last succeeded, and which schedules were missed."""
    runs = CounterMetricFamily("countinghouse_task_runs", "Runs of a task.", labels=["task"])
    failures = CounterMetricFamily("countinghouse_task_failures", "Runs of a task that failed.", labels=["task"])
    seconds = CounterMetricFamily("countinghouse_task_seconds", "How long all runs of a task took.", labels=["task"])
    success = GaugeMetricFamily(
        "countinghouse_task_last_success_timestamp_seconds", "When a task succeeded last.", labels=["task"]
    )
    for record in TaskRecord.objects.order_by("pk"):
        runs.add_metric([record.task], record.runs)
        failures.add_metric([record.task], record.failures)
        seconds.add_metric([record.task], record.total_s)
        if record.succeeded_at:
            success.add_metric([record.task], record.succeeded_at.timestamp())
    yield from (runs, failures, seconds, success)
    missed = sum(status.is_missed for status in read_schedules(now=now))
    yield gauge("schedules_missed", "Schedules that were due and haven't run.", missed)


def read_alarms(now: datetime) -> Iterator[Metric]:
    """Yield the open alarms by kind, and how many of them no one has acknowledged."""
    counts = Alarm.objects.open().order_by().values_list("kind").annotate(Count("pk"))
    yield labeled("alarms_open", "Open alarms by kind.", "kind", dict(counts))
    unacknowledged = Alarm.objects.unacknowledged().count()
    yield gauge("alarms_unacknowledged", "Open alarms that no one has acknowledged.", unacknowledged)


def read_webhooks(now: datetime) -> Iterator[Metric]:
    """Yield the deliveries that wait or failed, and the endpoints that fail."""
    waiting = WebhookDelivery.objects.filter(state=DeliveryState.PENDING, endpoint__is_enabled=True)
    oldest = waiting.aggregate(at=Min("message__created_at"))["at"]
    yield gauge("webhook_deliveries_waiting", "Deliveries to enabled endpoints that wait.", waiting.count())
    age = (now - oldest).total_seconds() if oldest else 0
    yield gauge("webhook_oldest_waiting_seconds", "How long the oldest of them has waited.", age)
    failed = WebhookDelivery.objects.filter(state=DeliveryState.FAILED).count()
    yield gauge("webhook_deliveries_failed", "Deliveries that are no longer retried, of the last LOG_DAYS.", failed)
    failing = WebhookEndpoint.objects.filter(Q(failing_since__isnull=False) | ~Q(disabled_reason="")).count()
    yield gauge("webhook_endpoints_failing", "Endpoints that fail, or were disabled because they did.", failing)


def read_database(now: datetime) -> Iterator[Metric]:
    """Yield the size of the database, its connections, and who holds locks."""
    yield gauge("database_bytes", "The size of the database on disk.", measure_database())
    space = measure_disk()
    if space:
        yield gauge("database_free_bytes", "The free space of the embedded database's disk.", space.free)
    with connection.cursor() as cursor:
        cursor.execute(CONNECTIONS)
        yield labeled("database_connections", "Connections to the database by state.", "state", dict(cursor.fetchall()))
    yield gauge("lock_holders", "Sessions that hold a lock for long while others wait.", len(find_holders()))


def register_sources() -> None:
    """Register the sources of this module."""
    register_metrics("processes", read_processes)
    register_metrics("tasks", read_tasks)
    register_metrics("alarms", read_alarms)
    register_metrics("webhooks", read_webhooks)
    register_metrics("database", read_database)
