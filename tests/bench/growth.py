"""Measure what grows with the ledger: usage queries, admin pages, the worker's memory, the bytes of an event."""

import os
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

from django.conf import settings
from django.db import connection

from catalog.models import Feature
from config.celery import app
from config.installation.schedules import DEFAULTS
from config.server.supervisor import CELERY_PROCESSES, Services, running_services
from customers.models import Customer
from events.ledger.rollup import roll_up
from events.usage.meter import usage
from tests.bench import pages, world
from tests.bench.figures import Figure
from tests.bench.ingest import wait_until_counted
from tests.bench.storage import Storage, make_bytes_figure, measure_storage, read_wal_position
from tests.bench.world import Memory
from tests.bench.world_bodies import CUSTOMERS

LARGE = int(os.environ.get("EVENTS", "10000000"))
SMALL, MEDIUM = LARGE // 100, LARGE // 10
CHUNK, REQUEST = 50_000, 1_000
WRITTEN_PER_S = 1_000
QUERIES = 400
MONTH = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
FILL = """
INSERT INTO events_inboxrequest (
    received_at, event_ids, event_names, external_customer_ids, occurred_at, sources, properties
)
SELECT
    clock_timestamp(), array_agg(md5(no::text)::uuid::text),
    array_agg((ARRAY['api.calls', 'model.usage', 'active.users'])[1 + no %% 3]),
    array_agg('cust_' || lpad((hashint8(no) & 1023)::text, 4, '0')),
    array_agg(%(start)s::timestamptz + random() * interval '92 days'), array_agg('fill'::text),
    array_agg(jsonb_build_object(
        'tokens', (random() * 5000)::int, 'user_id', 'u' || (random() * 500)::int, 'model', 'large-2'
    ))
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS no
GROUP BY no / %(request)s
"""
# While most events are added, nothing needs to survive a power cut.
WITHOUT_DURABILITY = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB"}


@dataclass(frozen=True)
class Reading:
    """What was measured at one size of the ledger. Queries are in seconds, pages in milliseconds by name."""

    events: int
    queries: list[float]
    pages: dict[str, list[float]]
    memory: Memory
    storage: Storage

    @property
    def point(self) -> dict[str, float]:
        """The reading's point in the charts."""
        return {
            "events": self.events,
            "usage_query_ms": round(statistics.median(self.queries) * 1_000, 3),
            "page_ms": round(statistics.fmean(statistics.median(times) for times in self.pages.values()), 1),
            "worker_mib": round(self.memory.used, 1),
            "event_bytes": round(self.storage.total, 1),
        }


def growth() -> Iterator[Figure]:
    """Fill the ledger through the worker to 100,000, a million and ten million events (EVENTS), and measure at each.

    Every scheduled task has run before the first reading, so that the imports and caches of the first run don't count
    as growth. Ids are random UUIDs, for which indexes are largest. The last tenth is added with the server's own
    settings, and its write-ahead log is measured.
    """
    world.make_company()
    world.forget_events()
    make_more_customers()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        fill(1, SMALL)
        run_every_task()
        small = read(services, SMALL)
        with without_durability():
            fill(SMALL + 1, MEDIUM)
        medium = read(services, MEDIUM)
        with without_durability():
            fill(MEDIUM + 1, LARGE - MEDIUM)
        wal_before = read_wal_position()
        fill(LARGE - MEDIUM + 1, LARGE)
        wal = read_wal_position() - wal_before
        large = read(services, LARGE)
    points = {"growth": [reading.point for reading in (small, medium, large)]}
    yield from make_usage_figures(small.queries, large.queries, points)
    yield make_memory_figure(medium.memory, large.memory)
    yield from pages.make_page_figures(small.pages, large.pages, {"events": LARGE, "written_per_s": WRITTEN_PER_S})
    yield make_bytes_figure(large.storage, wal / MEDIUM)


def read(services: Services, events: int) -> Reading:
    """Measure with `events` in the ledger, while the worker counts a steady number of new ones.

    The server has written what loading left behind, so that its rest isn't measured.
    """
    pages.add_problems(events // 100)
    memory, storage = world.measure_memory(services.pid("worker")), measure_storage()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE events_usagebucket, events_usageday, events_uniquevalue")
        cursor.execute("CHECKPOINT")
    with steady_writes():
        return Reading(events, time_queries(), pages.time_pages(services.base_url), memory, storage)


@contextmanager
def without_durability() -> Iterator[None]:
    """Let the server write to its disk when it likes until the block ends, which writes everything."""
    with connection.cursor() as cursor:
        for name, value in WITHOUT_DURABILITY.items():
            cursor.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        cursor.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for name in WITHOUT_DURABILITY:
                cursor.execute(f"ALTER SYSTEM RESET {name}")
            cursor.execute("SELECT pg_reload_conf()")
            os.sync()
            cursor.execute("CHECKPOINT")


@contextmanager
def steady_writes() -> Iterator[None]:
    """Add events to the inbox at a steady rate, which the worker counts, until the block ends."""
    is_done = Event()

    def write() -> None:
        batch = WRITTEN_PER_S // 10
        for start in count(10 * LARGE + int(time.time()) * WRITTEN_PER_S, batch):
            if is_done.wait(0.1):
                connection.close()
                return
            add_to_inbox(start, start + batch - 1)

    with ThreadPoolExecutor(1) as executor:
        writing = executor.submit(write)
        try:
            yield
        finally:
            is_done.set()
            writing.result()
    wait_until_counted()


def add_to_inbox(first: int, last: int) -> None:
    parameters = {"first": first, "last": last, "request": REQUEST, "start": datetime(2026, 8, 1, tzinfo=UTC)}
    with connection.cursor() as cursor:
        cursor.execute(FILL, parameters)


def make_more_customers() -> None:
    """Create the customers of the generated events beyond the company's thousand, unless they exist."""
    extra = [Customer(external_id=f"cust_{no:04}", name=f"Customer {no}") for no in range(CUSTOMERS, 1_024)]
    Customer.objects.bulk_create(extra, ignore_conflicts=True)


def make_usage_figures(small: list[float], large: list[float], points: dict[str, Any]) -> Iterator[Figure]:
    p95 = statistics.quantiles(large, n=20)[-1] * 1_000
    data = {
        "events": LARGE,
        "customers": 1_024,
        "queries": QUERIES,
        "median_ms": round(statistics.median(large) * 1_000, 3),
        "median_ms_at_100k": round(statistics.median(small) * 1_000, 3),
    }
    yield Figure("usage_query_p95_ms", p95, "ms", 10, True, data)
    ratio = statistics.median(large) / statistics.median(small)
    yield Figure("usage_query_growth", ratio, "times", 1.3, True, data | points)


def run_every_task() -> None:
    """Enqueue each scheduled task once for each worker process, and wait until the queue is empty."""
    for schedule in DEFAULTS * CELERY_PROCESSES:
        app.send_task(schedule.task)
    messages = Path(settings.BROKER_DIR, "messages")
    while any(messages.glob("*.msg")):
        time.sleep(0.02)


def make_memory_figure(before: Memory, after: Memory) -> Figure:
    data = {
        "mib_at_a_tenth": round(before.used, 1),
        "mib": round(after.used, 1),
        "mapped_mib_at_a_tenth": round(before.mapped, 1),
        "mapped_mib": round(after.mapped, 1),
    }
    return Figure("worker_memory_ratio", after.used / before.used, "10M ÷ 1M", 1.1, True, data)


def fill(first: int, last: int) -> None:
    """Add events to the inbox as fast as the worker counts them, and wait until the last is counted."""
    for start in range(first, last + 1, CHUNK):
        add_to_inbox(start, min(start + CHUNK - 1, last))
        wait_until_counted(but=2 * CHUNK // REQUEST)
    wait_until_counted()
    roll_up(now=datetime.now(UTC))


def time_queries() -> list[float]:
    """Measure usage queries of random customers and all features for one month."""
    dice = random.Random(5)
    features = list(Feature.objects.all())
    customers = list(Customer.objects.values_list("pk", flat=True))
    times = []
    for no in range(QUERIES + 20):
        customer, feature = dice.choice(customers), features[no % len(features)]
        started = time.perf_counter()
        usage(customer, feature, *MONTH)
        times.append(time.perf_counter() - started)
    return times[20:]
