"""Measure sealed events: how fast they are sealed and read, what they cost on disk, and what ingest loses."""

import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from catalog.models import Feature, PlanVersion
from config.celery import app
from config.server.supervisor import Services, running_services
from customers.models import Customer
from customers.periods import Period
from events.history.lookup import find_event
from events.history.sealing import seal_next
from events.models import Event, SealedPart
from events.usage.contributing_events import events_behind
from tests.bench import proving, subscribers, world
from tests.bench.figures import Figure
from tests.bench.growth import CHUNK, REQUEST, make_more_customers, without_durability
from tests.bench.ingest import BATCH_SIZE, SETTINGS, wait_until_counted
from tests.bench.load import Plan, run
from tests.bench.proving import NIGHT_LINES, prove, subscribe

EVENTS = int(os.environ.get("BENCH_SEALED", "2000000"))
LINES, LOOKUPS, INGEST_S = 60, 40, 30
LEDGER = int(os.environ.get("BENCH_LEDGER", "300000"))
EVENTS_EACH, TURN = 2 * proving.EVENTS, 10_000  # events of a customer, customers
DAYS = 28
START = datetime(2026, 2, 1, tzinfo=UTC)
PERIOD = Period(START, START + timedelta(days=DAYS))
# Events that arrive in the order of time, up to an hour after they occurred, over four weeks.
FILL = """
INSERT INTO events_inboxrequest (
    received_at, event_ids, event_names, external_customer_ids, occurred_at, sources, properties
)
SELECT
    min(%(start)s::timestamptz + no * %(step)s::interval), array_agg(md5(no::text)::uuid::text),
    array_agg((ARRAY['api.calls', 'model.usage', 'active.users'])[1 + no %% 3]),
    array_agg('cust_' || lpad((hashint8(no) & 1023)::text, 4, '0')),
    array_agg(%(start)s::timestamptz + no * %(step)s::interval - random() * interval '1 hour'),
    array_agg('fill'::text),
    array_agg(jsonb_build_object(
        'tokens', (random() * 5000)::int, 'user_id', 'u' || (random() * 500)::int, 'model', 'large-2'
    ))
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS no
GROUP BY no / %(request)s ORDER BY 1
"""


def sealing() -> Iterator[Figure]:
    """Count two million events (BENCH_SEALED) of four weeks, and seal them; then seal others while events arrive."""
    key = world.make_company()
    make_more_customers()
    with _history():
        yield from _measure_parts()
        yield _measure_ingest(key)


def ledger() -> Iterator[Figure]:
    """Bill a month of 300,000 events (BENCH_LEDGER), seal nine tenths of them in one run, and prove every line again.

    The others arrived within SEAL_AFTER_DAYS. Fails if a line isn't proved.
    """
    plan, customers = subscribers.make_plan(), LEDGER // EVENTS_EACH
    settled = customers * 9 // 10
    with _history():
        subscribe_in_turns(plan, settled, received=subscribers.END)
        subscribe_in_turns(plan, customers - settled, received=datetime.now(UTC))
        hot_seconds, lines = prove()
        events, started = Event.objects.count(), time.perf_counter()
        seal_all()
        seconds, sealed = time.perf_counter() - started, events - Event.objects.count()
        if sealed != settled * EVENTS_EACH:
            raise SystemExit(f"Wrong: {sealed} of {events} events were sealed.")
        sealed_seconds, _ = prove()
        hours, hot_hours = (taken / lines * NIGHT_LINES / 3600 for taken in (sealed_seconds, hot_seconds))
        data = {
            "lines": lines,
            "events": events,
            "sealed": sealed,
            "parts": SealedPart.objects.readable().count(),
            "sealing_s": round(seconds, 1),
            "hot_h": round(hot_hours, 4),
        }
        yield Figure("sealed_proof_hours", hours, "h for 100k lines", 2, True, data)


def subscribe_in_turns(plan: PlanVersion, count: int, *, received: datetime) -> None:
    """Subscribe, count and bill customers, ten thousand at a time."""
    for first in range(0, count, TURN):
        subscribe(plan, min(TURN, count - first), received=received)


@contextmanager
def _history() -> Iterator[None]:
    """Begin without events, and seal events that arrived more than a day ago, until the block ends."""
    world.forget_events()
    history = Path(settings.DATA_DIR, "history")
    shutil.rmtree(history, ignore_errors=True)
    settings.EVENT_HISTORY = os.environ["EVENT_HISTORY"] = history.as_uri()
    settings.SEAL_AFTER_DAYS, os.environ["SEAL_AFTER_DAYS"] = 1, "1"
    try:
        yield
    finally:
        world.forget_events()
        settings.EVENT_HISTORY = os.environ["EVENT_HISTORY"] = ""


def _measure_parts() -> Iterator[Figure]:
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs"):
        fill(0, EVENTS)
    lines = _choose_lines()
    ids = random.Random(7).sample(range(EVENTS), LOOKUPS)
    event_ids = list(Event.objects.filter(pk__in=_places(ids)).values_list("event_id", flat=True))
    hot = _time(lines)
    started = time.perf_counter()
    seal_all()
    seconds = time.perf_counter() - started
    if Event.objects.exists():
        raise SystemExit("Wrong: not all events were sealed.")
    sealed = _time(lines)
    data = {"events": EVENTS, "seconds": round(seconds, 1), "parts": SealedPart.objects.readable().count()}
    yield Figure("seal_eps", EVENTS / seconds, "events/s", 20_000, data=data)
    size = SealedPart.objects.aggregate(bytes=Sum("bytes"))["bytes"] / EVENTS
    yield Figure("sealed_bytes_per_event", size, "bytes", 60, True, {"events": EVENTS})
    hot_ms, sealed_ms = (statistics.median(times) * 1_000 for times in (hot, sealed))
    data = {"lines": LINES, "hot_ms": round(hot_ms, 1), "sealed_ms": round(sealed_ms, 1), "events": EVENTS}
    yield Figure("line_events_sealed_ratio", sealed_ms / hot_ms, "times", 1.5, True, data)
    lookups = _time([partial(find_event, event_id) for event_id in event_ids])
    yield Figure("lookup_sealed_ms", statistics.median(lookups) * 1_000, "ms", 100, True, {"events": EVENTS})
    yield _make_bytes_figure(size)


def _places(numbers: list[int]) -> list[int]:
    first = Event.objects.order_by("pk").values_list("pk", flat=True)[0]
    return [first + number for number in numbers]


def _choose_lines() -> list[Callable[[], object]]:
    """Return readers of the events of some customers' lines, a month of a feature each."""
    customers = list(Customer.objects.order_by("pk").values_list("pk", flat=True)[:LINES])
    features = list(Feature.objects.order_by("pk"))
    return [partial(_read_line, customer, features[place % len(features)]) for place, customer in enumerate(customers)]


def _read_line(customer_id: int, feature: Feature) -> int:
    return len(list(events_behind(customer_id, feature, [PERIOD], most=10_000)))


def _time(readers: list[Callable[[], object]]) -> list[float]:
    readers[0]()  # the first also imports and connects
    times = []
    for reader in readers:
        started = time.perf_counter()
        reader()
        times.append(time.perf_counter() - started)
    return times


def _make_bytes_figure(in_parts: float) -> Figure:
    """What an event costs once it is sealed: its place in a part, its known id, and the usage counted from it."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM FULL events_knownid, events_uniquevalue, events_usagebucket, events_usageday")
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relname ~ '^events_'"
            " AND relname NOT IN ('events_event', 'events_inboxrequest')"
        )
        tables = {name: size / EVENTS for name, size in cursor.fetchall()}
    data = {"events": EVENTS, "in_parts": round(in_parts, 1)}
    data |= {name: round(size, 1) for name, size in tables.items() if size >= 1}
    return Figure("event_bytes_sealed", in_parts + sum(tables.values()), "bytes", 200, True, data)


def _measure_ingest(key: str) -> Figure:
    """Send batches of events without sealing, and while a worker writes, reads back and forgets a part."""
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        fill(EVENTS, 2 * EVENTS)
        without = _send_batches(services, key, seed=11)
        app.send_task("events.tasks.seal")
        _wait_until_sealing()
        sealing = _send_batches(services, key, seed=12)
        is_sealing = SealedPart.objects.unfinished().exists()
    data = SETTINGS | {"events_per_s": round(sealing), "without_per_s": round(without), "still_sealing": is_sealing}
    return Figure("bulk_ingest_while_sealing_ratio", sealing / without, "of without", 0.75, data=data)


def _send_batches(services: Services, key: str, *, seed: int) -> float:
    """Return how many events per second were counted from the first request to the last event."""
    started = time.perf_counter()
    load = run(Plan(f"{services.base_url}/v1/events/bulk", key, 4, INGEST_S, BATCH_SIZE, seed=seed))
    wait_until_counted()
    return load.requests * BATCH_SIZE / (time.perf_counter() - started)


def _wait_until_sealing() -> None:
    until = time.monotonic() + 60
    while not SealedPart.objects.unfinished().exists():
        if time.monotonic() > until:
            raise SystemExit("Wrong: no worker began to seal.")
        time.sleep(0.02)


def fill(first: int, last: int) -> None:
    """Add events to the inbox as fast as the worker counts them, and wait until the last is counted."""
    step = timedelta(days=DAYS) / EVENTS
    with without_durability():
        for start in range(first, last, CHUNK):
            parameters = {"first": start, "last": min(start + CHUNK, last) - 1, "request": REQUEST}
            with connection.cursor() as cursor:
                cursor.execute(FILL, parameters | {"start": START, "step": step})
            wait_until_counted(but=2 * CHUNK // REQUEST)
        wait_until_counted()


def seal_all() -> None:
    """Seal all events, in this process."""
    while seal_next(now=datetime.now(UTC)):
        pass
