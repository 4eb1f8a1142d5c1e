"""Measure how long single events take while sign-ins, searches, the schema and long PDFs keep the server busy."""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
from django.conf import settings

from billing.models import Invoice, InvoiceLine
from config.server.supervisor import running_services
from config.settings import BASE_DIR
from customers.models import Customer
from events.access.keys import make_key
from events.models import Scope
from tests.attackers import Attack
from tests.bench import world
from tests.bench.figures import Figure
from tests.bench.ingest import SETTINGS, check_all_counted, wait_until_counted

LINES = 10_000
ALONE_S, ATTACK_S, WARM_UP_S = 15, 45, 5
SENDERS, PAUSE_S = 4, 0.05
CLIENTS = 4  # of each kind of attack


def under_attack() -> Iterator[Figure]:
    """Send 80 single events per second, alone and then under attack; check that none is lost."""
    key = world.make_company()
    world.forget_events()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        url = f"{services.base_url}/v1/events"
        first = measure(url, key, WARM_UP_S)
        alone = measure(url, key, ALONE_S)
        _, attackers_key = make_key("attacker", scopes=[Scope.READ], single_per_minute=0, bulk_per_minute=0)
        attack = Attack(services.base_url, attackers_key, make_long_invoice().public_id, ATTACK_S, CLIENTS)
        with attackers(attack) as process:
            time.sleep(WARM_UP_S)
            attacked = measure(url, key, ATTACK_S - 2 * WARM_UP_S)
            answers = json.loads(process.communicate()[0])
        wait_until_counted()
    if failed := [name for name in answers if name.endswith("500")]:
        raise SystemExit(f"Attacks failed instead of keeping the server busy: {failed}.")
    check_all_counted(len(first) + len(alone) + len(attacked))
    p95, p95_alone = percentile(attacked), percentile(alone)
    data = SETTINGS | {
        "p95_ms": round(p95 * 1000, 1),
        "p95_alone_ms": round(p95_alone * 1000, 1),
        "worst_ms": round(max(attacked) * 1000, 1),
        "events": len(attacked),
        "attackers": CLIENTS * 4,
        "answers": answers,
    }
    yield Figure("ingest_under_attack_p95_ms", p95 * 1000, "ms", 1000, True, data)
    yield Figure("ingest_under_attack_ratio", p95 / p95_alone, "times", 20, True, data)


def make_long_invoice() -> Invoice:
    """Make a draft of 10,000 lines."""
    invoice = Invoice.objects.create(
        customer=Customer.objects.earliest("pk"),
        kind="one_off",
        currency="USD",
        **dict.fromkeys(("subtotal", "total", "amount_due"), Decimal(LINES)),
        computed_at=datetime.now(UTC),
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(invoice=invoice, position=n, kind="item", description=f"Item {n}", amount=Decimal(1))
        for n in range(1, LINES + 1)
    )
    return invoice


@contextmanager
def attackers(attack: Attack) -> Iterator["subprocess.Popen[str]"]:
    """Run the attackers in a process of their own, until the end of the block at the latest."""
    command = [sys.executable, "-m", "tests.attackers", json.dumps(asdict(attack))]
    process = subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure(url: str, key: str, seconds: float) -> list[float]:
    """Send events from four clients, 20 per second each, and return how long each took. Each must be accepted."""
    taken: list[float] = []
    until = time.perf_counter() + seconds

    def send() -> None:
        body = {"event_name": "api.calls", "external_customer_id": "cust_0001"}
        with httpx.Client(headers={"x-api-key": key}, timeout=60) as client:
            while (began := time.perf_counter()) < until:
                client.post(url, json=body).raise_for_status()
                taken.append(time.perf_counter() - began)
                time.sleep(max(PAUSE_S - taken[-1], 0))

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def percentile(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]
