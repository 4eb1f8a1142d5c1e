"""Clients that hold connections, send without end, or ask for too much at a time, while events are accepted.

The web process is real, with one worker. Other clients must be answered all the while, and every accepted event is
stored once.
"""

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from events.access.keys import make_key
from tests.web_server import database_url

pytestmark = pytest.mark.django_db  # asks for the database; what the server does there is committed

MIB = 1024 * 1024
ANSWERED_S = 15  # generous for a busy machine; a blocked service gives no answer at all


@pytest.fixture(scope="module")
def keys(web_server: str, django_db_blocker: Any) -> list[str]:
    with django_db_blocker.unblock():
        return [make_key(name)[1] for name in ("Edge", "Other")]


@pytest.fixture
def key(keys: list[str]) -> str:
    return keys[0]


@pytest.fixture
def events(web_server: str, key: str) -> Iterator["Events"]:
    with httpx.Client(base_url=web_server, headers={"x-api-key": key}, timeout=ANSWERED_S) as client:
        yield Events(client)


class Events:
    """Sends events one after the other and remembers the accepted ones."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.accepted: list[str] = []

    def send(self, count: int) -> None:
        """Send events, each of which must be accepted, and ask for the health."""
        assert self.client.get("/healthz").status_code == 200
        for _ in range(count):
            body = {"event_name": "edge", "external_customer_id": "acme", "properties": {"n": 1}}
            response = self.client.post("/v1/events", json=body)
            assert response.status_code == 202, response.text
            self.accepted.append(response.json()["event_id"])

    def check_all_are_stored_once(self) -> None:
        statement = (
            "SELECT count(*) FROM events_inboxrequest, unnest(event_ids) AS sent (name) WHERE sent.name = ANY (%s)"
        )
        with psycopg.connect(database_url()) as database:
            assert database.execute(statement, [self.accepted]).fetchone() == (len(self.accepted),)


def connect(base_url: str) -> socket.socket:
    address = urlsplit(base_url)
    return socket.create_connection((address.hostname, address.port), 10)


def begin(base_url: str, path: str, *headers: str) -> socket.socket:
    """Open a connection and send the headers of a request."""
    connection = connect(base_url)
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


@contextmanager
def loop(work: Callable[[], None], threads: int) -> Iterator[None]:
    """Repeat the work in many threads during the block."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            work()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(repeat) for _ in range(threads)]
        try:
            yield
        finally:
            over.set()
    for repeated in running:
        repeated.result()


def test_unfinished_bodies_and_headers_hold_no_one_up(web_server, key, events):
    with ExitStack() as stack:
        for _ in range(24):
            unfinished = [
                begin(web_server, "/admin/login/", "Cookie: csrftoken=abc", "Content-Length: 5000"),
                begin(web_server, "/v1/events", f"x-api-key: {key}", "Content-Length: 5000"),
                begin(web_server, "/v1/events/bulk", f"x-api-key: {key}", "Transfer-Encoding: chunked"),
                connect(web_server),
            ]
            for connection in unfinished:
                stack.callback(connection.close)
                connection.sendall(b"1")
        events.send(20)
    events.check_all_are_stored_once()


def test_a_login_loop_holds_no_one_up(web_server, events):
    token = "x" * 32
    form = {"username": "root", "password": "wrong", "csrfmiddlewaretoken": token}
    tries: list[int] = []

    def log_in() -> None:
        headers = {"Cookie": f"csrftoken={token}"}
        tries.append(httpx.post(f"{web_server}/admin/login/", data=form, headers=headers, timeout=60).status_code)

    with loop(log_in, 16):
        events.send(30)
    assert tries
    events.check_all_are_stored_once()


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json"])
def test_an_endless_upload_is_cut_off(web_server, content_type, events):
    part = b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\n" + b"x" * 64 * 1024
    with connect(web_server) as connection:
        head = f"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200 * MIB:
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
                sent += len(part)
    assert sent < 50 * MIB  # what the kernels of both sides hold, too
    events.send(3)


def test_a_huge_body_is_refused_with_the_limit(web_server, key):
    lists = b'{"filters": [' + b"[]," * (8 * MIB) + b"[]]}"
    headers = {"x-api-key": key}
    with httpx.Client(base_url=web_server, headers=headers, timeout=60) as client:
        with contextlib.suppress(httpx.TransportError):  # the answer may come while the body is still sent
            response = client.post("/v1/customers/search", content=lists)
            assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
        response = client.post(
            "/v1/customers/search", content=gzip.compress(lists), headers={"Content-Encoding": "gzip"}
        )
        assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")


def test_slow_readers_hold_no_one_up(web_server, events):
    httpx.get(f"{web_server}/v1/schema", timeout=120)  # builds it
    with ExitStack() as stack:
        for _ in range(24):
            connection = stack.enter_context(connect(web_server))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /v1/schema HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        events.send(20)
    events.check_all_are_stored_once()


def test_strangers_who_ask_for_the_schema_hold_no_one_up(web_server, events):
    sizes: set[int] = set()
    with loop(lambda: sizes.add(len(httpx.get(f"{web_server}/v1/schema", timeout=60).content)), 24):
        events.send(20)
    assert max(sizes) > 100_000
    events.check_all_are_stored_once()


def test_one_key_cant_take_all_the_time_for_searches(web_server, keys, events):
    key, other = keys
    statuses: set[int] = set()

    def search() -> None:
        response = httpx.post(f"{web_server}/v1/customers/search", json={}, headers={"x-api-key": key}, timeout=60)
        statuses.add(response.status_code)

    with loop(search, 24):
        events.send(20)
        for _ in range(5):
            headers = {"x-api-key": other}
            response = httpx.post(f"{web_server}/v1/plans/search", json={}, headers=headers, timeout=ANSWERED_S)
            assert response.status_code == 200
    assert statuses <= {200, 429}
    events.check_all_are_stored_once()


def test_a_locked_inbox_is_said_and_nothing_waits_for_it(web_server, events):
    with psycopg.connect(database_url()) as database:
        database.execute("LOCK TABLE events_inboxrequest IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(8) as pool:
            body = {"event_name": "edge", "external_customer_id": "acme"}
            refused = [pool.submit(events.client.post, "/v1/events", json=body) for _ in range(8)]
            health = events.client.get("/healthz")
            assert (health.status_code, health.json()["reason"]) == (
                503,
                "The events inbox is locked by another session.",
            )
            assert events.client.get("/v1/plans").status_code == 200
            assert {response.result().status_code for response in refused} == {503}
    events.send(5)
    events.check_all_are_stored_once()


def test_a_locked_table_stops_only_what_needs_it(web_server, key, events):
    with psycopg.connect(database_url()) as database:
        database.execute("LOCK TABLE customers_customer IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(events.client.get, "/v1/customers")
            began = time.monotonic()
            events.send(20)
            answer = waiting.result()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["message"].startswith("Another change of the same data takes long.")
    assert time.monotonic() - began < 4 * ANSWERED_S
    events.check_all_are_stored_once()
