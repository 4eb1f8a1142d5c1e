"""Sending one signed message over HTTP, to the address that was checked and no other."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from config.webhooks.models import EXCERPT
from config.webhooks.targets import TargetRefused, check_url, resolve

CONNECT_S, READ_S, WHOLE_S = 5, 10, 15
AGENT = "Countinghouse-Webhooks/1"


@dataclass(frozen=True)
class Answer:
    """What came of one try. `status` is None when nothing was answered; `error` says what went wrong."""

    duration_ms: int
    status: int | None = None
    response: str = ""
    error: str = ""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def signed(message_id: str, body: str, secrets: list[str], *, at: datetime) -> dict[str, str]:
    """Make the headers of Standard Webhooks (and, for its older clients, Svix): id, time and one signature a secret."""
    signature = " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets)
    values = {"id": message_id, "timestamp": str(int(at.timestamp())), "signature": signature}
    return {f"{prefix}-{name}": value for prefix in ("webhook", "svix") for name, value in values.items()}


def post(url: str, body: str, headers: Mapping[str, str]) -> Answer:
    """Send a body and return what came of it; never raises. Redirects aren't followed, proxies aren't used. An endpoint
    that takes more than 15 seconds is cut off, however steadily it goes on.

    The host is looked up once, all its addresses are checked, and one of these is connected to, so that a name that
    changes its mind in between reaches nothing else. The certificate is checked against the name.
    """
    began = time.monotonic()
    try:
        status, response = _post(url, body, headers, began)
    except (TargetRefused, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Answer(_since(began), error=_said(error, began)[:255])
    error_text = "" if 200 <= status < 300 else f"HTTP {status}"
    return Answer(_since(began), status, response, error_text)


def _said(error: Exception, began: float) -> str:
    if time.monotonic() - began >= WHOLE_S:
        return f"There was no whole answer within {WHOLE_S} seconds."
    return str(error) if isinstance(error, TargetRefused) else f"{type(error).__name__}: {error}"


@contextmanager
def _cut_off() -> Iterator[dict[str, Any]]:
    """Give a request's extension that knows its socket, which is shut when the time for the whole is up.

    The client's own timeouts start anew with every byte that comes.
    """
    sockets: list[socket.socket] = []

    def note(event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            sockets.append(info["return_value"].get_extra_info("socket"))

    def shut() -> None:
        with suppress(OSError):
            sockets[-1].shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(WHOLE_S, lambda: shut() if sockets else None)
    timer.daemon = True
    timer.start()
    try:
        yield {"trace": note}
    finally:
        timer.cancel()


def _post(url: str, body: str, headers: Mapping[str, str], began: float) -> tuple[int, str]:
    parts = check_url(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(host, port)[0]
    target = httpx.URL(url).copy_with(host=address)
    own = {"Host": parts.netloc, "Content-Type": "application/json", "User-Agent": AGENT, "Accept-Encoding": "identity"}
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    with (
        _cut_off() as extensions,
        httpx.Client(verify=_tls(), trust_env=False, follow_redirects=False, timeout=timeout) as client,
        client.stream(
            "POST",
            target,
            content=body.encode(),
            headers={**own, **headers},
            extensions=extensions | {"sni_hostname": host},
        ) as answer,
    ):
        return answer.status_code, _excerpt(answer, began)


def _excerpt(answer: httpx.Response, began: float) -> str:
    """Read the beginning of an answer, and no more: neither a long nor a slow one holds the sender."""
    read = b""
    for part in answer.iter_raw(1024):
        read += part
        if len(read) >= 4 * EXCERPT or time.monotonic() - began > WHOLE_S:
            break
    return read.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:EXCERPT]


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
