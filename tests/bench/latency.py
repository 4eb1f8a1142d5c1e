"""Measure the time from an accepted event until its usage is counted, under load."""

import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
from django.conf import settings
from django.db import connection

from config.server.supervisor import running_services
from tests.bench import world
from tests.bench.figures import Figure
from tests.bench.ingest import BATCH_SIZE, SETTINGS, wait_until_counted
from tests.bench.load import Plan, run, started

FIND_RATE_S, LOAD_S = 15, 30
PROBES_EVERY_S = 0.1


def counted() -> Iterator[Figure]:
    """Find the sustained rate, send at half that rate, and measure how long single events wait to be counted."""
    key = world.make_company()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        bulk = f"{services.base_url}/v1/events/bulk"
        started_at = time.perf_counter()
        load = run(Plan(bulk, key, 4, FIND_RATE_S, BATCH_SIZE, seed=6))
        wait_until_counted()
        sustained = load.requests * BATCH_SIZE / (time.perf_counter() - started_at)
        half = Plan(bulk, key, 4, LOAD_S, BATCH_SIZE, rate=sustained / 2 / BATCH_SIZE, seed=7)
        with started(half) as clients:
            waits = probe(f"{services.base_url}/v1/events", key, LOAD_S - 3)
            clients.wait(LOAD_S + 30)
        wait_until_counted()
    p95 = statistics.quantiles(waits, n=20)[-1]
    data = SETTINGS | {
        "sustained_per_s": round(sustained),
        "load_per_s": round(sustained / 2),
        "probes": len(waits),
        "median_s": round(statistics.median(waits), 3),
        "worst_s": round(max(waits), 3),
    }
    yield Figure("counted_p95_s", p95, "s", 1, True, data)


def probe(url: str, key: str, seconds: float) -> list[float]:
    """Send an event every tenth of a second, and measure from its 202 until it is counted, polling every 5 ms."""
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    done = threading.Event()

    def send_all() -> None:
        until = time.perf_counter() + seconds
        with httpx.Client(headers={"x-api-key": key}) as client:
            while time.perf_counter() < until:
                name = uuid.uuid4().hex
                body = {"event_id": name, "event_name": "api.calls", "external_customer_id": "cust_0001"}
                client.post(url, json=body).raise_for_status()
                sent[name] = time.perf_counter()
                time.sleep(PROBES_EVERY_S)
        done.set()

    thread = threading.Thread(target=send_all)
    thread.start()
    while not done.is_set() or len(seen) < len(sent):
        waiting = [name for name in list(sent) if name not in seen]
        with connection.cursor() as cursor:
            cursor.execute("SELECT event_id FROM events_event WHERE event_id = ANY(%s) AND state = 1", [waiting])
            now = time.perf_counter()
            seen |= {row[0]: now for row in cursor.fetchall()}
        time.sleep(0.005)
    thread.join()
    return [seen[name] - sent[name] for name in sent]
