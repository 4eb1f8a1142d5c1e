"""The front of a web process: reads requests, and hands complete ones to Django's threads.

A thread that waits for a client's body can't serve anyone else, so a few clients that never finish a body would stop
the whole service. Here the event loop waits for bodies, under a deadline and within the limit of the path, and a
thread only gets a request that is complete. Responses are complete, too, before they are sent: a client that reads
slowly holds no thread, and an export that fails halfway is an error instead of a file that ends too soon.
"""

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from tempfile import NamedTemporaryFile, TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import quote

from django.core.handlers.wsgi import WSGIHandler
from granian.rsgi import HTTPProtocol, ProtocolClosed, ProtocolError, Scope  # type: ignore[attr-defined]  # they are public

from config.limits import MIB, MOST_BODY, most_body
from config.monitoring.watcher import Watcher
from config.server.callers import is_known, name_caller
from config.server.lanes import CallerBusy, Lane, LaneFull, Lanes
from config.server.observing import Observer
from config.server.refused import REFUSAL, Refusal, render

ALIVE = "/livez"
STALLED_S = 10.0  # without any progress
BODY_S = 30.0  # for a whole body, and a second more for each of these
BYTES_PER_S = 256 * 1024
SMALL = 64 * 1024  # a body that usually arrives in one piece
MOST_HELD = 256 * MIB  # bytes of larger bodies in a process
MOST_UNCHECKED = 32 * MIB  # of these, from callers who may be strangers
MOST_IN_MEMORY = MIB  # bytes of a streamed response; a longer one is put in a file
KEPT_S = 60.0  # how long such a file is kept; the server opens it at once

# Names of headers in Django's environment. Other names are converted, except those with underscores, which Django
# couldn't tell from names with dashes, and those that are about the connection.
KNOWN = {
    name: f"HTTP_{name.upper().replace('-', '_')}"
    for name in (
        *("host", "x-api-key", "accept", "accept-encoding", "accept-language", "user-agent", "cookie", "referer"),
        *("idempotency-key", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "origin", "cache-control"),
    )
} | {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
LEFT_OUT = frozenset({"connection", "expect", "keep-alive", "proxy", "te", "trailer", "upgrade"})

TOO_SLOW = Refusal(408, "The body didn't arrive in time. Send the request again.", {"Connection": "close"})
BUSY = Refusal(503, "The service is busy. Send the same request again in a moment.", {"Retry-After": "1"})
TOO_MANY = Refusal(
    429,
    "Too many searches, reports and documents at a time. Two are prepared at a time, and ten more can wait.",
    {"Retry-After": "2"},
)


@dataclass(slots=True)
class Incoming:
    """A request whose body is being read. `held` counts the bytes of a larger body, and whether its caller is known."""

    environ: dict[str, Any]
    path: str
    protocol: HTTPProtocol
    held: int = 0
    is_known: bool = False
    began: float = field(default_factory=perf_counter)


class BodyRefused(Exception):
    """The body isn't read to its end, for the reason in `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class LeftUnread(Exception):
    """The body isn't read to its end, and Django answers: with the refusal, or without one as to any stranger."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(refusal and refusal.message)
        self.refusal = refusal


class Front:
    """The RSGI application. `handler` is Django."""

    def __init__(self, handler: WSGIHandler) -> None:
        self._handler = handler
        self._lanes = Lanes()
        self._held = 0
        self._unchecked = 0
        self._folder = TemporaryDirectory(prefix="countinghouse-")
        self._observer = Observer()
        self._watcher = Watcher(each_time=self._lanes.show if self._observer.counts else None)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watcher.start()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watcher.stop()
        self._lanes.close()
        self._folder.cleanup()

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        if scope.path == ALIVE:  # whatever the threads do
            protocol.response_str(200, [("Content-Type", "application/json")], '{"status": "ok"}')
            return
        incoming = Incoming(make_environ(scope), scope.path, protocol)
        try:
            await self._serve(incoming)
        except BodyRefused as refused:
            self._refuse(incoming, refused.refusal)
        except LaneFull:
            self._refuse(incoming, BUSY)
        finally:
            self._held -= incoming.held
            self._unchecked -= 0 if incoming.is_known else incoming.held

    async def _serve(self, incoming: Incoming) -> None:
        environ = incoming.environ
        try:
            body = await self._read_body(incoming)
        except LeftUnread as unread:
            environ[REFUSAL], body = unread.refusal, b""
        except TimeoutError:
            raise BodyRefused(TOO_SLOW) from None
        except (ProtocolClosed, ProtocolError):
            return  # the client is gone
        environ["CONTENT_LENGTH"], environ["wsgi.input"] = str(len(body)), BytesIO(body)
        lane = self._lanes.choose(environ["REQUEST_METHOD"], incoming.path, environ["QUERY_STRING"])
        if lane is self._lanes.heavy:
            await self._answer_in_turn(lane, incoming)
        else:
            await self._answer_in(lane, incoming)

    async def _answer_in_turn(self, lane: Lane, incoming: Incoming) -> None:
        try:
            async with self._lanes.turns.turn(name_caller(incoming.environ)):
                await self._answer_in(lane, incoming)
        except CallerBusy:
            incoming.environ[REFUSAL] = TOO_MANY  # Django answers, since it also logs such refusals
            await self._answer_in(self._lanes.ordinary, incoming)

    async def _answer_in(self, lane: Lane, incoming: Incoming) -> None:
        await lane.run(self._answer, incoming, asyncio.get_running_loop())

    # --- Bodies --------------------------------------------------------------------------------------

    async def _read_body(self, incoming: Incoming) -> bytes:
        """Read the whole body. Raises BodyRefused, LeftUnread, TimeoutError, or an error of the protocol."""
        environ, limit = incoming.environ, most_body(incoming.path)
        is_chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        size = limit if is_chunked else int(environ.get("CONTENT_LENGTH") or 0)
        if size == 0:
            return b""
        if size > limit:
            raise _too_large(limit)
        if size <= SMALL:
            async with asyncio.timeout(STALLED_S):
                return await incoming.protocol()
        parts = await self._read_parts(incoming, limit)
        if not is_chunked and incoming.held < size:
            raise ProtocolClosed
        return b"".join(parts)

    async def _read_parts(self, incoming: Incoming, limit: int) -> list[bytes]:
        """Read the parts of a larger body."""
        now, parts = asyncio.get_running_loop().time, []
        last = now() + BODY_S
        async with asyncio.timeout_at(now() + STALLED_S) as deadline:
            async for part in incoming.protocol:
                self._hold(incoming, len(part))
                if self._held > MOST_HELD:
                    raise BodyRefused(BUSY)
                if incoming.held > limit:
                    raise _too_large(limit)
                parts.append(part)
                await self._check_caller(incoming)
                last += len(part) / BYTES_PER_S
                deadline.reschedule(min(now() + STALLED_S, last))
        return parts

    def _hold(self, incoming: Incoming, size: int) -> None:
        incoming.held += size
        self._held += size
        self._unchecked += 0 if incoming.is_known else size

    async def _check_caller(self, incoming: Incoming) -> None:
        """Require a known caller beyond what anyone may send, and beyond the part of the memory that strangers share.

        Strangers who never finish their bodies take memory from each other, but not from known callers.
        """
        if incoming.is_known or (incoming.held <= MOST_BODY and self._unchecked <= MOST_UNCHECKED):
            return
        if not await self._lanes.ordinary.run(is_known, incoming.environ):
            raise LeftUnread
        incoming.is_known = True
        self._unchecked -= incoming.held

    # --- Responses, in a thread ----------------------------------------------------------------------

    def _answer(self, incoming: Incoming, loop: asyncio.AbstractEventLoop) -> None:
        """Have Django answer, and send the answer."""
        started: list[Any] = []

        def start_response(*start: Any) -> Any:
            started.extend(start)

        response: Any = self._handler(incoming.environ, start_response)
        try:
            status, headers = int(started[0][:3]), [(name, _in_ascii(value.strip())) for name, value in started[1]]
            if not response.streaming:
                incoming.protocol.response_bytes(status, headers, response.content)
            elif incoming.environ["REQUEST_METHOD"] == "HEAD":
                incoming.protocol.response_empty(status, headers)
            else:
                self._send_stream(incoming.protocol, status, headers, response, loop)
            self._observer.note(incoming.environ, status, perf_counter() - incoming.began)
        finally:
            response.close()

    def _refuse(self, incoming: Incoming, refusal: Refusal) -> None:
        headers, body = render(refusal, incoming.path)
        incoming.protocol.response_bytes(refusal.status, list(headers.items()), body)
        self._observer.note(incoming.environ, refusal.status, perf_counter() - incoming.began)

    def _send_stream(
        self,
        protocol: HTTPProtocol,
        status: int,
        headers: list[tuple[str, str]],
        parts: Iterable[bytes],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Send a streamed response once it is complete, from memory or from a file, which no thread waits for."""
        remaining, beginning, size = iter(parts), [], 0
        for part in remaining:
            beginning.append(part)
            size += len(part)
            if size > MOST_IN_MEMORY:
                break
        else:
            protocol.response_bytes(status, headers, b"".join(beginning))
            return
        with ExitStack() as stack:
            file = stack.enter_context(NamedTemporaryFile(dir=self._folder.name))
            file.writelines(beginning)
            file.writelines(remaining)
            file.flush()
            if not any(name.lower() == "content-length" for name, _ in headers):
                headers.append(("Content-Length", str(file.tell())))
            protocol.response_file(status, headers, file.name)
            kept = stack.pop_all()
        loop.call_soon_threadsafe(lambda: loop.call_later(KEPT_S, kept.close))


def _too_large(limit: int) -> LeftUnread:
    message = f"The body is larger than {limit // MIB} MiB, the limit for this request. Send less at a time."
    return LeftUnread(Refusal(413, message, {"Connection": "close"}))


def make_environ(scope: Scope) -> dict[str, Any]:
    """Return the request in WSGI's terms, without its body."""
    server, _, port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        key = KNOWN.get(name) or _convert(name)
        if key in environ:
            environ[key] += f"{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        elif key:
            environ[key] = value
    return environ


def _convert(name: str) -> str:
    """Return the name of a header in Django's environment, or "" if it is left out."""
    return "" if "_" in name or name in LEFT_OUT else f"HTTP_{name.upper().replace('-', '_')}"


def _in_ascii(value: str) -> str:
    """Percent-encode a header's characters that the server can't send."""
    return value if value.isascii() else quote(value, safe=" !\"#$%&'()*+,/:;<=>?@[]^`{|}")
