"""Processes are killed at random while clients send and retry, and a sealer seals what was counted. No event is lost
and none counts twice.

CHAOS_SECONDS (20) sets the duration; CHAOS_SEED repeats an order of kills.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from django.conf import settings

from config.server.postgres import APP_ROLE, EmbeddedPostgres
from tests.services import free_port

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
CLIENTS, BATCH = 4, 40
CUSTOMERS = ["acme", "beta", "gamma"]
SETUP = f"""
from catalog.models import Feature
from customers.models import Customer
for name in {CUSTOMERS!r}: Customer.objects.create(external_id=name, name=name)
Feature.objects.create(name="Calls", event_name="calls", aggregation="count")
Feature.objects.create(name="Tokens", event_name="tokens", aggregation="sum", field="n")
Feature.objects.create(name="Users", event_name="tokens", aggregation="unique_count", field="user")
"""
# Seals every event that was counted, in parts of some hundred.
SEALER = """
import time
from datetime import UTC, datetime, timedelta
from events.history.sealing import seal_next
while True:
    if not seal_next(now=datetime.now(UTC) + timedelta(days=2)):
        time.sleep(0.1)
"""


@dataclass
class World:
    """The running product and its servers, each of which can be killed."""

    folder: Path
    postgres: EmbeddedPostgres
    url: str
    redis_port: int
    port: int
    redis: "subprocess.Popen[bytes] | None" = None
    serve: "subprocess.Popen[bytes] | None" = None
    sealer: "subprocess.Popen[bytes] | None" = None
    killed: Counter[str] = field(default_factory=Counter)

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {
            "DATABASE_URL": self.url,
            "DATABASE_OWNER_URL": self.postgres.url(),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "DATA_DIR": str(self.folder / "data"),
            "EVENT_HISTORY": (self.folder / "history").as_uri(),
            "SEAL_AFTER_DAYS": "0",
            "SEAL_ROWS": "400",
            "STATIC_ROOT": str(settings.DATA_DIR / "served-static"),
        }

    def manage(self, *command: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR,
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def start_redis(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server isn't installed: run `apt-get install redis-server`."
        self.redis = subprocess.Popen(
            [program, "--port", str(self.redis_port), "--save", "", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )

    def start_serve(self) -> None:
        with (self.folder / "serve.log").open("wb") as log:
            self.serve = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", str(self.port)],
                cwd=settings.BASE_DIR,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start_sealer(self) -> None:
        with (self.folder / "sealer.log").open("ab") as log:
            self.sealer = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "-v", "0", "-c", SEALER],
                cwd=settings.BASE_DIR,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill_sealer(self) -> None:
        """Kill the sealer with SIGKILL, unless a killed server ended it, and start another."""
        assert self.sealer
        self.sealer.kill()
        self.sealer.wait()
        self.killed["sealer"] += 1
        self.start_sealer()

    def kill_services(self, word: str) -> None:
        """Kill a service and its children with SIGKILL."""
        assert self.serve
        for child in psutil.Process(self.serve.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if word in child.cmdline():
                    for process in [*child.children(recursive=True), child]:
                        kill(process)
        self.killed[word] += 1

    def kill_postgres(self) -> None:
        postmaster = psutil.Process(int((self.postgres.pgdata / "postmaster.pid").read_text().split()[0]))
        for process in [postmaster, *postmaster.children(recursive=True)]:
            kill(process)
        self.killed["postgres"] += 1
        time.sleep(0.5)
        self.postgres.start()

    def kill_redis(self) -> None:
        assert self.redis
        self.redis.kill()
        self.redis.wait()
        self.killed["redis"] += 1
        time.sleep(1.5)
        self.start_redis()


def kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    postgres.start()
    port = free_port()
    world = World(tmp_path, postgres, postgres.url(role=APP_ROLE), free_port(), port)
    try:
        world.start_redis()
        world.start_serve()
        wait_until(lambda: is_healthy(port), 120)
        yield world
    finally:
        if world.sealer:
            world.sealer.kill()
            world.sealer.wait()
        if world.serve:
            world.serve.terminate()
            world.serve.wait(60)
        if world.redis:
            world.redis.kill()
            world.redis.wait()
        postgres.release()


def is_healthy(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    return False


def wait_until(condition: Any, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it didn't happen in time"
        time.sleep(0.2)


def make_event(client: int, no: int) -> dict[str, Any]:
    """Make a valid or invalid event, depending on the number."""
    event: dict[str, Any] = {
        "event_id": f"{client}-{no}",
        "event_name": ["calls", "tokens", "tokens"][no % 3],
        "external_customer_id": CUSTOMERS[no % 7 % 3],
        "timestamp": f"2026-03-{1 + no % 5:02}T{no % 24:02}:{no % 60:02}:00Z",
        "properties": {"n": no % 50, "user": f"u{no % 11}"},
    }
    if no % 20 == 1:
        event["properties"]["n"] = "many"
    if no % 25 == 2:
        event["external_customer_id"] = "nobody"
    if no % 30 == 3:
        event["event_name"] = "Calls"
    return event


def send_until_accepted(client: int, port: int, key: str, until: float, accepted: list[dict[str, Any]]) -> None:
    """Send batches, retrying each until the response is 202, as clients do."""
    no = 0
    with httpx.Client(headers={"x-api-key": key}, timeout=5) as http:
        while time.monotonic() < until:
            batch = [make_event(client, no + offset) for offset in range(BATCH)]
            give_up = time.monotonic() + 90
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    response = http.post(f"http://127.0.0.1:{port}/v1/events/bulk", json={"events": batch})
                    if response.status_code == 202:
                        break
                    assert response.status_code >= 500, response.text
                assert time.monotonic() < give_up, "not accepted in time"
                time.sleep(0.05)
            accepted.extend(batch)
            no += BATCH


def expected_usage(events: list[dict[str, Any]]) -> dict[tuple[str, str], Decimal]:
    """Calculate usage event by event, without product code."""
    usage: Counter[tuple[str, str]] = Counter()
    users: dict[str, set[str]] = {}
    for event in events:
        customer, n = event["external_customer_id"], event["properties"]["n"]
        if customer not in CUSTOMERS:
            continue
        if event["event_name"] == "calls":
            usage[customer, "Calls"] += 1
        if event["event_name"] == "tokens":
            if isinstance(n, int):
                usage[customer, "Tokens"] += n
            users.setdefault(customer, set()).add(event["properties"]["user"])
    counts = {pair: Decimal(value) for pair, value in usage.items()}
    return counts | {(customer, "Users"): Decimal(len(values)) for customer, values in users.items()}


def expected_problems(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    problems: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event["external_customer_id"] not in CUSTOMERS:
            problems[event["event_id"], "unknown_customer"] += 1
        if event["event_name"] == "Calls":
            problems[event["event_id"], "unknown_event_name"] += 1
        if event["event_name"] == "tokens" and not isinstance(event["properties"]["n"], int):
            problems[event["event_id"], "not_a_number"] += 1
    return problems


USAGE = """
SELECT c.external_id, f.name, CASE f.aggregation
    WHEN 'count' THEN sum(b.count) WHEN 'sum' THEN sum(b.total)
    ELSE (SELECT count(DISTINCT value) FROM events_uniquevalue u WHERE u.customer_id = c.id AND u.feature_id = f.id) END
FROM events_usagebucket b
JOIN customers_customer c ON c.id = b.customer_id
JOIN catalog_feature f ON f.id = b.feature_id
GROUP BY c.id, c.external_id, f.id, f.name, f.aggregation
"""
SEALED = "SELECT count(*) FROM events_sealedpart WHERE state = 3 AND rows > 0"
# How many of the events that were sent are in the ledger, and how many are only in a part.
PLACES = """
SELECT count(event.id), count(known.part) FILTER (WHERE event.id IS NULL)
FROM unnest(%s::text[]) AS sent (event_id)
LEFT JOIN events_event AS event USING (event_id)
LEFT JOIN events_knownid AS known ON known.key = events_key(sent.event_id)
"""


def test_no_event_is_lost_or_counted_twice_when_processes_are_killed(world: World):
    world.manage("shell", "-v", "0", "-c", SETUP)
    key = world.manage("create_api_key", "chaos")
    until = time.monotonic() + SECONDS
    accepted: list[list[dict[str, Any]]] = [[] for _ in range(CLIENTS)]
    failures: list[BaseException] = []

    def client(no: int) -> None:
        try:
            send_until_accepted(no, world.port, key, until, accepted[no])
        except AssertionError as failure:
            failures.append(failure)

    clients = [threading.Thread(target=client, args=[no]) for no in range(CLIENTS)]
    for thread in clients:
        thread.start()
    world.start_sealer()
    dice = random.Random(SEED)
    kills = [lambda: world.kill_services("granian"), lambda: world.kill_services("worker"), world.kill_postgres]
    kills += [world.kill_redis, world.kill_sealer]
    while time.monotonic() < until:
        for kill_random in dice.sample(kills, len(kills)):
            time.sleep(dice.uniform(0.5, 1.5))
            kill_random()
    for thread in clients:
        thread.join(120)
    assert not failures
    assert min(world.killed[word] for word in ("granian", "worker", "postgres", "redis", "sealer")) >= 1

    events = [event for batch in accepted for event in batch]
    with psycopg.connect(world.url, autocommit=True) as database:

        def rows(query: str) -> list[Any]:
            return database.execute(query.encode()).fetchall()

        wait_until(lambda: not rows("SELECT 1 FROM events_inboxevent LIMIT 1"), 90)
        for parts in range(3):
            world.kill_sealer()
            wait_until(lambda least=parts + 1: rows(SEALED)[0][0] >= least, 90)
        assert world.sealer
        world.sealer.kill()
        world.sealer.wait()
        sent = [event["event_id"] for event in events]
        in_ledger, in_parts = database.execute(PLACES.encode(), [sent]).fetchone() or (0, 0)
        assert in_ledger + in_parts == len(set(sent)) == len(sent)
        assert rows("SELECT count(*) FROM events_event")[0][0] == in_ledger
        assert {(row[0], row[1]): row[2] for row in rows(USAGE)} == expected_usage(events)
        problems = rows("SELECT e.event_id, p.reason FROM events_problem p JOIN events_event e ON e.id = p.event_id")
        assert Counter(problems) == expected_problems(events)
    assert world.manage("rebuild_usage") == "Usage matches the ledger."
