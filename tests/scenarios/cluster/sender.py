"""Send events from a host, as a client does: to any of the web hosts, again until one answers with 202.

    python sender.py NAME KEY ACCEPTED URL [URL ...]

Every 202 is written to the file ACCEPTED: the time, and the first and last number of the batch. Every fifth batch is
sent a second time, to another web host. Ends in order with SIGTERM, after its batch was accepted.
"""

import json
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

BATCH = 25
PAUSE_S = 0.1
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMERS = ("acme", "beta")


def make_event(sender: str, number: int) -> dict[str, Any]:
    """Make the event of a number: a call, or tokens. Every fortieth has an unknown name."""
    name = ("calls", "tokens")[number % 2]
    return {
        "event_id": f"{sender}-{number}",
        "event_name": "typing" if number % 40 == 7 else name,
        "external_customer_id": CUSTOMERS[number % 3 % 2],
        "timestamp": (FIRST + timedelta(minutes=number % 40_000)).isoformat(),
        "properties": {"n": number % 50},
    }


def send_forever(sender: str, key: str, accepted: Path, urls: list[str]) -> None:
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    targets = cycle(urls)
    number = 0
    with (
        httpx.Client(headers={"x-api-key": key}, timeout=httpx.Timeout(4, connect=1)) as http,
        accepted.open("a", buffering=1) as log,
    ):
        while not stopping:
            batch = {"events": [make_event(sender, each) for each in range(number, number + BATCH)]}
            for _ in range(2 if number // BATCH % 5 == 0 else 1):
                while not is_accepted(http, next(targets), batch):
                    time.sleep(PAUSE_S)
            log.write(json.dumps([time.time(), number, number + BATCH]) + "\n")
            number += BATCH
            time.sleep(PAUSE_S)


def is_accepted(http: httpx.Client, url: str, batch: dict[str, Any]) -> bool:
    try:
        answer = http.post(f"{url}/v1/events/bulk", json=batch)
    except httpx.HTTPError:
        return False
    if answer.status_code not in (202, 502, 503, 504):
        raise SystemExit(f"{url} answered {answer.status_code}: {answer.text}")
    return answer.status_code == 202


if __name__ == "__main__":
    send_forever(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
