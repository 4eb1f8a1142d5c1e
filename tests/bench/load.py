"""HTTP clients, in a separate process, that send the next request as soon as the previous one has its response."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from config.settings import BASE_DIR
from tests.bench.world_bodies import bulk_body, single_body


@dataclass(frozen=True)
class Load:
    """The number of requests with response 202, and the seconds from the first to the last."""

    requests: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Plan:
    """What the clients send. `rate` is the maximum number of requests per second, or 0 for no limit."""

    url: str
    key: str
    clients: int
    seconds: float
    events: int  # per bulk request; 0 sends single events
    rate: float = 0
    seed: int = 1


def run(plan: Plan) -> Load:
    """Send in a separate process, so that the clients don't slow down the measuring process."""
    with started(plan) as process:
        out, _ = process.communicate(timeout=plan.seconds + 60)
    if process.returncode:
        raise SystemExit(f"The clients failed: {out}")
    return Load(**json.loads(out))


@contextmanager
def started(plan: Plan) -> Iterator["subprocess.Popen[str]"]:
    """Start the clients, and stop them at the end of the block."""
    command = [sys.executable, "-m", "tests.bench.load", json.dumps(vars(plan))]
    process = subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


class Client(threading.Thread):
    """A connection that sends a request, waits for the response, and sends again."""

    def __init__(self, plan: Plan, number: int, body: bytes) -> None:
        super().__init__(daemon=True)
        parts = urlsplit(plan.url)
        self.plan, self.number, self.body, self.done = plan, number, body, 0
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nx-api-key: {plan.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        self.error = ""

    def run(self) -> None:
        started, pause = time.monotonic(), self.plan.clients / self.plan.rate if self.plan.rate else 0
        with socket.create_connection(self.address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = connection.makefile("rb")
            while (now := time.monotonic()) - started < self.plan.seconds:
                if pause and (wait := started + self.done * pause - now) > 0:
                    time.sleep(wait)
                mark = f"{self.number:02}{self.done:06}".encode()
                connection.sendall(self.head + self.body.replace(b"@@@@@@@@", mark))
                status = reader.readline().split()[1]
                length = 0
                while (line := reader.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                text = reader.read(length)
                if status != b"202":
                    self.error = f"{status!r} {text[:300]!r}"
                    return
                self.done += 1


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    bodies = [
        bulk_body(plan.events, seed=plan.seed * 100 + no) if plan.events else single_body(seed=plan.seed * 100 + no)
        for no in range(plan.clients)
    ]
    clients = [Client(plan, plan.seed % 10 * 10 + no, body) for no, body in enumerate(bodies)]
    started = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - started
    errors = [client.error for client in clients if client.error]
    if errors:
        print(errors[0])
        sys.exit(1)
    print(json.dumps({"requests": sum(client.done for client in clients), "seconds": seconds}))


if __name__ == "__main__":
    main()
