"""Measure events per second from HTTP to counted usage, and single events compared with an empty view."""

import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from config.server.supervisor import Services, running_services
from tests.bench import world
from tests.bench.figures import Figure
from tests.bench.load import Load, Plan, run

BULK_SECONDS = 60
SINGLE_SECONDS = 12
BATCH_SIZE = 1_000
SETTINGS = {"fsync": "on", "dedupe": "on, by event_id without limit", "cores": 2}


def bulk() -> Iterator[Figure]:
    """Send batches of 1,000 events for a minute, and measure from the first request until all events are counted."""
    key = world.make_company()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        run(Plan(f"{services.base_url}/v1/events/bulk", key, 4, 5, BATCH_SIZE, seed=9))  # warm up
        wait_until_counted()
        world.forget_events()
        started = time.perf_counter()
        load = run(Plan(f"{services.base_url}/v1/events/bulk", key, 4, BULK_SECONDS, BATCH_SIZE))
        wait_until_counted()
        seconds = time.perf_counter() - started
    events = load.requests * BATCH_SIZE
    check_all_counted(events)
    rate, rows = world.copy_rate(Path(settings.DATA_DIR))
    data = SETTINGS | {"events": events, "seconds": round(seconds, 1), "accepted_per_s": round(events / load.seconds)}
    yield Figure("bulk_ingest_eps", events / seconds, "events/s", 10_000, data=data)
    yield Figure(
        "bulk_ingest_ratio",
        events / seconds / rate,
        "of COPY",
        0.35,
        data={"copy_rows_per_s": round(rate), "rows": rows},
    )


def single() -> Iterator[Figure]:
    """Send single events, and requests to an empty view, in turn to the same server."""
    key = world.make_company()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        loads: dict[str, list[Load]] = {"empty": [], "events": []}
        for turn in range(2):
            loads["empty"].append(_send_single_events(services, "/bench/empty", key, turn + 3))
            loads["events"].append(_send_single_events(services, "/v1/events", key, turn + 1))
        wait_until_counted()
    rates = {
        name: sum(load.requests for load in turns) / sum(load.seconds for load in turns)
        for name, turns in loads.items()
    }
    data = SETTINGS | {f"{name}_per_s": round(rate) for name, rate in rates.items()} | {"clients": 8}
    yield Figure("single_ingest_ratio", rates["events"] / rates["empty"], "of empty view", 0.5, data=data)


def _send_single_events(services: Services, path: str, key: str, seed: int) -> Load:
    return run(Plan(f"{services.base_url}{path}", key, 8, SINGLE_SECONDS, 0, seed=seed))


def wait_until_counted(timeout: float = 300, *, but: int = 0) -> None:
    """Wait until the inbox is empty, or has at most `but` requests."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM events_inboxrequest OFFSET %s)", [but])
            if not cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise SystemExit("The workers didn't empty the inbox in time.")


def check_all_counted(events: int) -> None:
    """Check that every accepted event is in the ledger and counted once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(*) FILTER (WHERE state = 1) FROM events_event")
        ledger, counted = cursor.fetchone()
        cursor.execute(
            "SELECT sum(count) FROM events_usagebucket JOIN catalog_feature f ON f.id = feature_id"
            " WHERE f.aggregation <> 'max'"
        )
        usage = cursor.fetchone()[0]
    if not ledger == counted == usage == events:
        raise SystemExit(f"Wrong: {events} accepted, {ledger} in the ledger, {counted} counted, {usage} in usage.")
