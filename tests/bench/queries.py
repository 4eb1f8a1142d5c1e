"""Measure usage queries and the worker's memory while the ledger grows a hundredfold."""

import os
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from catalog.models import Feature
from config.celery import app
from config.installation.schedules import DEFAULTS
from config.server.supervisor import CELERY_PROCESSES, running_services
from customers.models import Customer
from events.ledger.rollup import roll_up
from events.usage.meter import usage
from tests.bench import world
from tests.bench.figures import Figure
from tests.bench.ingest import wait_until_counted
from tests.bench.world import Memory
from tests.bench.world_bodies import CUSTOMERS

LARGE = int(os.environ.get("EVENTS", "10000000"))
SMALL, MEDIUM = LARGE // 100, LARGE // 10
CHUNK = 250_000
QUERIES = 400
MONTH = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
FILL = """
INSERT INTO events_inboxrequest (
    received_at, event_ids, event_names, external_customer_ids, occurred_at, sources, properties
)
SELECT
    clock_timestamp(), array_agg('fill-' || no || '-' || md5(no::text)),
    array_agg((ARRAY['api.calls', 'model.usage', 'active.users'])[1 + no %% 3]),
    array_agg('cust_' || lpad((hashint8(no) & 1023)::text, 4, '0')),
    array_agg(%(start)s::timestamptz + random() * interval '92 days'), array_agg('fill'::text),
    array_agg(jsonb_build_object(
        'tokens', (random() * 5000)::int, 'user_id', 'u' || (random() * 500)::int, 'model', 'large-2'
    ))
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS no
GROUP BY no / 1000
"""


def usage_queries() -> Iterator[Figure]:
    """Fill the ledger through the worker to 100,000 events, then to 10 M (EVENTS), and query at both sizes.

    The worker's memory is compared between a tenth of the events and all of them. Every scheduled task has run before
    the first reading, so that the imports and caches of the first run don't count as growth.
    """
    world.make_company()
    world.forget_events()
    make_more_customers()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        fill(1, SMALL)
        small = time_queries()
        run_every_task()
        fill(SMALL + 1, MEDIUM)
        memory_before = world.measure_memory(services.pid("worker"))
        fill(MEDIUM + 1, LARGE)
        memory_after = world.measure_memory(services.pid("worker"))
        large = time_queries()
        yield from make_usage_figures(small, large)
        yield make_memory_figure(memory_before, memory_after)


def make_more_customers() -> None:
    """Create the customers of the generated events beyond the company's thousand, unless they exist."""
    extra = [Customer(external_id=f"cust_{no:04}", name=f"Customer {no}") for no in range(CUSTOMERS, 1_024)]
    Customer.objects.bulk_create(extra, ignore_conflicts=True)


def make_usage_figures(small: list[float], large: list[float]) -> Iterator[Figure]:
    p95 = statistics.quantiles(large, n=20)[-1] * 1_000
    data = {
        "events": LARGE,
        "customers": 1_024,
        "queries": QUERIES,
        "median_ms": round(statistics.median(large) * 1_000, 3),
        "median_ms_at_100k": round(statistics.median(small) * 1_000, 3),
    }
    yield Figure("usage_query_p95_ms", p95, "ms", 10, True, data)
    yield Figure("usage_query_growth", statistics.median(large) / statistics.median(small), "times", 1.3, True, data)


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
    """Add events to the inbox in chunks, and wait after each chunk until the worker has counted it."""
    for start in range(first, last + 1, CHUNK):
        with connection.cursor() as cursor:
            end = min(start + CHUNK - 1, last)
            cursor.execute(FILL, {"first": start, "last": end, "start": datetime(2026, 8, 1, tzinfo=UTC)})
        wait_until_counted()
    roll_up(now=datetime.now(UTC))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE events_usagebucket, events_usageday, events_uniquevalue")


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
