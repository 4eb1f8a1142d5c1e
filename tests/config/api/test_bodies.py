"""Bodies don't break the connection, whether a view reads them or not, even if they come after a pause."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from events.access.keys import make_key

pytestmark = pytest.mark.django_db  # asks for the database; what the server does there is committed

PAUSE_S = 0.02
BODY = b"{}" + b" " * 20_000
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def keys(web_server: str, django_db_blocker: Any) -> Iterator[dict[str, str]]:
    with django_db_blocker.unblock():
        slow = make_key("Slow", single_per_minute=1, bulk_per_minute=1)[1]
        yield {"": "", "none": "sk_none", "all": make_key("All")[1], "slow": slow}


class Connection:
    """A connection to the web server, which sends a body some time after the headers."""

    def __init__(self, base_url: str) -> None:
        address = urlsplit(base_url)
        self.socket = socket.create_connection((address.hostname, address.port), 10)
        self.close = self.socket.close

    def send(self, method: str, path: str, body: bytes, **headers: str) -> Any:
        headers = {"Host": "localhost", "Content_Length": str(len(body))} | headers
        lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        time.sleep(PAUSE_S)
        self.socket.sendall(body)
        return self.read()

    def read(self) -> Any:
        response: Any = HTTPResponse(self.socket)
        response.begin()
        response.text = response.read().decode()
        return response


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("POST", "/v1/customers", "none", 401),
        ("POST", "/v1/events", "none", 401),
        ("POST", "/v1/events/bulk", "", 401),
        ("POST", "/v1/nothing", "all", 404),
        ("PATCH", "/v1/plans", "all", 405),
        ("PUT", "/v1/events", "all", 405),
        ("POST", "/v1/events", "slow", 429),
        ("POST", "/admin/login/", "", 403),
        ("GET", "/v1/plans", "all", 200),
        ("GET", "/healthz", "", 200),
    ],
)
def test_a_connection_survives_answers_that_do_not_need_the_body(web_server, keys, method, path, key, status):
    with closing(Connection(web_server)) as connection:
        responses = [connection.send(method, path, BODY, x_api_key=keys[key]) for _ in range(30)]
        assert {response.headers["connection"] for response in responses} == {None}
        statuses = [response.status for response in responses]
        assert statuses.count(status) >= (28 if status == 429 else 30)  # one request per minute isn't limited


def test_a_connection_survives_a_chunked_body(web_server):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY, BODY)) + b"0\r\n\r\n"
    with closing(Connection(web_server)) as connection:
        address = {"Transfer_Encoding": "chunked", "Host": "localhost"}
        for _ in range(10):
            lines = ["POST /v1/customers HTTP/1.1", *(f"{k.replace('_', '-')}: {v}" for k, v in address.items())]
            connection.socket.sendall("\r\n".join([*lines, "", ""]).encode())
            time.sleep(PAUSE_S)
            connection.socket.sendall(chunks)
            assert connection.read().status == 401


@pytest.mark.parametrize(("path", "mib"), [("/v1/customers", 1), ("/v1/events", 1), ("/v1/events/bulk", 32)])
def test_a_body_over_the_limit_closes_the_connection_unread(web_server, keys, path, mib):
    for key in ("none", "all"):
        with closing(Connection(web_server)) as connection:
            headers = {"x_api_key": keys[key], "Content_Length": str(mib * MIB + 1)}
            response = connection.send("POST", path, b"", **headers)
            assert (response.status, response.headers["connection"]) == (413, "close")
            assert f"larger than {mib} MiB" in response.text


def test_a_client_that_waits_for_permission_to_send_is_asked_for_the_body(web_server):
    with closing(Connection(web_server)) as connection:
        for _ in range(3):
            response = connection.send("POST", "/v1/customers", BODY, Expect="100-continue")
            assert (response.status, response.headers["connection"]) == (401, None)
