"""The front reads whole requests under a deadline and a limit, and sends whole responses."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from granian.rsgi import ProtocolError  # type: ignore[attr-defined]  # it is public

from config.server import front
from config.server.callers import is_known, name_caller
from config.server.front import Front, make_environ
from config.server.lanes import CallerBusy, LaneFull, Lanes, Turns
from events.access.keys import make_key

MIB = 1024 * 1024


def run_in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own: in this one, a browser's event loop may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class Protocol:
    """What Granian gives to an application: the body's parts, each after a pause, and the answer."""

    parts: list[bytes] = field(default_factory=list)
    pause_s: float = 0
    gone: bool = False
    answer: tuple[int, dict[str, str], bytes] | None = None
    file: str = ""

    async def __call__(self) -> bytes:
        return b"".join([part async for part in self])

    async def __aiter__(self) -> Any:
        for part in self.parts:
            await asyncio.sleep(self.pause_s)
            yield part
        if self.gone:
            raise ProtocolError

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = (status, dict(headers), body)

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.answer = (status, dict(headers), b"")

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self.file = file
        self.answer = (status, dict(headers), Path(file).read_bytes())


def make_scope(method: str = "POST", path: str = "/v1/customers", **headers: str) -> Any:
    items = [("host", "localhost"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return SimpleNamespace(
        method=method, path=path, query_string="a=1", http_version="1.1", scheme="http", server="127.0.0.1:8000",
        client="[::1]:5000", headers=SimpleNamespace(items=lambda: items),
    )  # fmt: skip


def respond_with(make: Callable[[WSGIRequest], Any]) -> Any:
    """Return a stand-in for Django that answers each request with what `make` returns."""

    def handler(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        response = make(WSGIRequest(environ))
        start_response(f"{response.status_code} OK", [*response.items()])
        return response

    return handler


def echo(request: WSGIRequest) -> HttpResponse:
    return HttpResponse(request.body, headers={"X-Path": quote(request.path)})


def ask(scope: Any, protocol: Protocol, make: Callable[[WSGIRequest], Any] = echo) -> Any:
    application = Front(respond_with(make))
    try:
        run_in_a_thread(application.__rsgi__(scope, protocol))  # type: ignore[arg-type]
    finally:
        application.__rsgi_del__(None)  # type: ignore[arg-type]
    return protocol.answer


def test_django_gets_the_whole_body():
    small = Protocol([b'{"a":', b"1}"])
    assert ask(make_scope(content_length="7"), small)[2] == b'{"a":1}'
    large = Protocol([b"x" * 60_000] * 3)
    assert ask(make_scope(content_length="180000"), large)[2] == b"x" * 180_000
    chunked = Protocol([b"one", b"two"])
    assert ask(make_scope(transfer_encoding="chunked"), chunked)[2] == b"onetwo"


@pytest.mark.parametrize("size", [5, 100_000])
def test_a_body_that_stalls_is_refused(monkeypatch, size):
    monkeypatch.setattr(front, "STALLED_S", 0.05)
    status, headers, body = ask(make_scope(content_length=str(size)), Protocol([b"x"] * 2, pause_s=5))
    assert (status, headers["Connection"]) == (408, "close")
    assert orjson.loads(body)["message"] == "The body didn't arrive in time. Send the request again."


def test_a_body_that_trickles_is_refused_in_the_end(monkeypatch):
    monkeypatch.setattr(front, "BODY_S", 0.1)
    began = time.monotonic()
    status, _, _ = ask(make_scope(content_length="100000"), Protocol([b"x"] * 100_000, pause_s=0.01))
    assert status == 408
    assert time.monotonic() - began < 5


def test_a_body_that_ends_too_soon_isnt_carried_out():
    carried_out: list[str] = []

    def note(request: WSGIRequest) -> HttpResponse:
        carried_out.append(request.path)
        return HttpResponse()

    for scope in (make_scope(content_length="100000"), make_scope(content_length="10")):
        assert ask(scope, Protocol([b"[]"], gone=True), note) is None
    assert ask(make_scope(content_length="100000"), Protocol([b"[]"]), note) is None  # Granian ends a broken stream so
    assert carried_out == []


def test_a_body_over_the_limit_isnt_read():
    taken: list[bytes] = []

    class Endless(Protocol):
        async def __aiter__(self) -> Any:
            while True:
                taken.append(b"x" * 60_000)
                yield taken[-1]

    def refusal_of(request: WSGIRequest) -> HttpResponse:
        return HttpResponse(request.META["countinghouse.refusal"].message, status=413)

    for scope in (make_scope(transfer_encoding="chunked"), make_scope(content_length=str(MIB + 1))):
        answer = ask(scope, Endless(), refusal_of)
        assert answer[2] == b"The body is larger than 1 MiB, the limit for this request. Send less at a time."
    assert sum(map(len, taken)) < 1.1 * MIB


@pytest.mark.parametrize("is_known", [True, False])
def test_a_large_body_is_only_read_for_a_known_caller(monkeypatch, is_known):
    monkeypatch.setattr(front, "is_known", lambda environ: is_known)
    scope = make_scope(path="/v1/events/bulk", content_length=str(3 * MIB))
    answer = ask(scope, Protocol([b"x" * 600_000] * 5 + [b"x" * (3 * MIB - 3_000_000)]))
    assert len(answer[2]) == (3 * MIB if is_known else 0)


@pytest.mark.django_db
def test_a_caller_is_known_by_a_valid_key_or_session(staff_client):
    secret = make_key("Known")[1]
    session = f"a=1; sessionid={staff_client.cookies['sessionid'].value}; b=2"
    known = [{"HTTP_X_API_KEY": secret}, {"HTTP_COOKIE": session}]
    of_no_one = Client().session
    of_no_one.save()
    cookies = [f"sessionid={value}" for value in (of_no_one.session_key, "none", "")]
    unknown = [{}, {"HTTP_X_API_KEY": "sk_1"}, *({"HTTP_COOKIE": cookie} for cookie in cookies)]
    base = {"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/events/bulk", "REMOTE_ADDR": "10.0.0.1"}
    assert [is_known(base | more) for more in known] == [True, True]
    assert [is_known(base | more) for more in unknown] == [False] * 5
    assert is_known(base | {"HTTP_X_API_KEY": f"{secret}x", "HTTP_COOKIE": session}) is False
    names = [name_caller(base | more) for more in (*known, {})]
    assert names[0] == f"key {secret}"
    assert names[1].startswith("session ")
    assert names[2] == "address 10.0.0.1"


def test_larger_bodies_share_the_memory_of_the_process(monkeypatch):
    monkeypatch.setattr(front, "MOST_HELD", 100_000)
    status, headers, _ = ask(make_scope(content_length="200000"), Protocol([b"x" * 50_000] * 4))
    assert (status, headers["Retry-After"]) == (503, "1")


def test_strangers_who_never_finish_take_no_memory_from_known_callers(monkeypatch):
    """Strangers send 90 of 100 kB and wait. Callers may hold 200 kB together, of these 150 kB without being known."""
    monkeypatch.setattr(front, "MOST_HELD", 200_000)
    monkeypatch.setattr(front, "MOST_UNCHECKED", 150_000)
    monkeypatch.setattr(front, "is_known", lambda environ: environ.get("HTTP_X_API_KEY") == "known")

    class Waiting(Protocol):
        sent: asyncio.Event
        goes_on: asyncio.Event

        async def __aiter__(self) -> Any:
            yield b"x" * 90_000
            self.sent.set()
            await self.goes_on.wait()
            yield b"x" * 10_000

    async def attack(application: Any) -> list[int]:
        first, second, known, last = Waiting(), Waiting(), Protocol([b"x" * 50_000] * 2), Protocol([b"x" * 50_000] * 2)
        for stranger in (first, second):
            stranger.sent, stranger.goes_on = asyncio.Event(), asyncio.Event()
        scope = make_scope(content_length="100000")
        waiting = asyncio.create_task(application.__rsgi__(scope, first))
        await first.sent.wait()
        await application.__rsgi__(scope, second)  # which is answered without waiting for the rest
        await application.__rsgi__(make_scope(content_length="100000", x_api_key="known"), known)
        first.goes_on.set()
        await waiting
        await application.__rsgi__(scope, last)
        return [len(protocol.answer[2]) for protocol in (first, second, known, last)]

    application = Front(respond_with(echo))
    try:
        assert run_in_a_thread(attack(application)) == [100_000, 0, 100_000, 100_000]
    finally:
        application.__rsgi_del__(None)  # type: ignore[arg-type]


def test_a_header_with_an_underscore_isnt_read():
    scope = make_scope(x_forwarded_for="1.1.1.1")
    items = [*scope.headers.items(), ("x_api_key", "sk_1"), ("cookie", "a=1"), ("cookie", "b=2"), ("proxy", "evil")]
    scope.headers = SimpleNamespace(items=lambda: [*items, ("x-forwarded-for", "2.2.2.2")])
    environ = make_environ(scope)
    assert environ["HTTP_X_FORWARDED_FOR"] == "1.1.1.1,2.2.2.2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["REMOTE_ADDR"] == "::1"
    assert not {"HTTP_X_API_KEY", "HTTP_PROXY"} & set(environ)


def test_a_path_is_decoded_as_djangos_paths_are():
    assert ask(make_scope(path="/v1/events/übung €"), Protocol())[1]["X-Path"] == "/v1/events/%C3%BCbung%20%E2%82%AC"


def test_a_header_that_the_server_cant_send_is_percent_encoded():
    answer = ask(make_scope(), Protocol(), lambda request: HttpResponse(headers={"X-Name": "Zoë: 1/2"}))
    assert answer[1]["X-Name"] == "Zo%C3%AB: 1/2"


@pytest.mark.parametrize("rows", [10, 200_000])
def test_a_streamed_file_is_sent_whole(rows):
    protocol = Protocol()
    answer = ask(make_scope("GET"), protocol, lambda request: StreamingHttpResponse(b"1,2,3\n" for _ in range(rows)))
    assert answer[2] == b"1,2,3\n" * rows
    assert bool(protocol.file) == (rows > 10)
    assert not (protocol.file and os.path.exists(protocol.file))


def test_a_streamed_file_that_fails_isnt_sent_in_part():
    def rows() -> Any:
        yield b"1,2,3\n" * 200_000
        raise OperationalError("the connection was lost")

    protocol = Protocol()
    with pytest.raises(OperationalError):
        ask(make_scope("GET"), protocol, lambda request: StreamingHttpResponse(rows()))
    assert protocol.answer is None


def test_the_answer_to_head_has_no_body():
    parts = iter([b"not read"])
    answer = ask(make_scope("HEAD"), Protocol(), lambda request: StreamingHttpResponse(parts))
    assert next(parts) == b"not read"
    assert answer[2] == b""


@pytest.mark.parametrize(
    ("method", "path", "query", "lane"),
    [
        ("POST", "/v1/events", "", "events"),
        ("POST", "/v1/events/bulk", "", "events"),
        ("GET", "/v1/events", "", "ordinary"),
        ("GET", "/healthz", "", "health"),
        ("GET", "/admin/login/", "", "ordinary"),
        ("POST", "/admin/login/", "next=/admin/", "sign-in"),
        ("POST", "/set-password/MQ/abc/", "", "sign-in"),
        ("POST", "/v1/customers/search", "", "heavy"),
        ("GET", "/v1/invoices/inv_1/pdf", "", "heavy"),
        ("GET", "/v1/schema", "", "heavy"),
        ("GET", "/admin/billing/invoice/", "status=draft&_export=csv", "heavy"),
        ("GET", "/admin/billing/invoice/", "", "ordinary"),
        ("GET", "/static/unfold/app.css", "", "ordinary"),
    ],
)
def test_each_kind_of_request_has_its_lane(method, path, query, lane):
    lanes = Lanes()
    assert lanes.choose(method, path, query).name == lane
    lanes.close()


def test_a_full_lane_refuses_at_once():
    async def fill() -> None:
        lanes = Lanes()
        lane = lanes.health
        waiting = [asyncio.create_task(lane.run(time.sleep, 0.01)) for _ in range(lane.most)]
        await asyncio.sleep(0)
        with pytest.raises(LaneFull):
            await lane.run(time.sleep, 0)
        await asyncio.gather(*waiting)
        await lane.run(time.sleep, 0)
        lanes.close()

    run_in_a_thread(fill())


def test_a_caller_has_so_many_turns_at_a_time():
    async def take_turns() -> None:
        turns, most, inside = Turns(at_once=2, waiting=3), [], []

        async def work(caller: str) -> None:
            async with turns.turn(caller):
                inside.append(caller)
                most.append(inside.count(caller))
                await asyncio.sleep(0.01)
                inside.remove(caller)

        mine = [asyncio.create_task(work("mine")) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(CallerBusy):
            await work("mine")
        await asyncio.gather(work("other's"), *mine)
        assert max(most) == 2
        await work("mine")
        assert turns._callers == {}

    run_in_a_thread(take_turns())
