"""Clients that keep a web process busy: sign-ins, searches, the schema, and the PDF of an invoice of 10,000 lines.

As a program, they run in a process of their own, so that they don't slow down who measures.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx

PATIENCE_S = 600  # until an answer comes


@dataclass(frozen=True)
class Attack:
    """What is attacked, how long, and by how many clients of each kind."""

    url: str
    key: str
    invoice_id: str
    seconds: float
    clients: int


def log_in(client: httpx.Client, attack: Attack) -> httpx.Response:
    token = "x" * 32
    form = {"username": "root", "password": "wrong", "csrfmiddlewaretoken": token}
    return client.post("/admin/login/", data=form, headers={"Cookie": f"csrftoken={token}"})


def search(client: httpx.Client, attack: Attack) -> httpx.Response:
    return client.post("/v1/customers/search", json={"limit": 1000})


def read_schema(client: httpx.Client, attack: Attack) -> httpx.Response:
    return client.get("/v1/schema", headers={"Accept-Encoding": "gzip"})


def render(client: httpx.Client, attack: Attack) -> httpx.Response:
    return client.get(f"/v1/invoices/{attack.invoice_id}/pdf")


KINDS: dict[str, Callable[[httpx.Client, Attack], httpx.Response]] = {
    "sign-in": log_in,
    "search": search,
    "schema": read_schema,
    "pdf": render,
}


def run(attack: Attack) -> Counter[str]:
    """Attack, and return how often each kind got each status; a request without an answer raises."""
    answers: Counter[str] = Counter()
    until = time.monotonic() + attack.seconds
    failures: list[httpx.HTTPError] = []

    def repeat(name: str) -> None:
        with httpx.Client(base_url=attack.url, headers={"x-api-key": attack.key}, timeout=PATIENCE_S) as client:
            while time.monotonic() < until:
                answers[f"{name} {KINDS[name](client, attack).status_code}"] += 1

    def note_failure(name: str) -> None:
        try:
            repeat(name)
        except httpx.HTTPError as error:
            failures.append(error)

    threads = [threading.Thread(target=note_failure, args=[name]) for name in KINDS for _ in range(attack.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure
    return answers


if __name__ == "__main__":
    print(json.dumps(run(Attack(**json.loads(sys.argv[1])))))  # noqa: T201  the result
