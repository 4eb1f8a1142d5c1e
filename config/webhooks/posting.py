"""Sends a signed message over HTTP, only to an address that was checked."""

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

CONNECT_S, READ_S, TOTAL_S = 5, 10, 15
AGENT = "Countinghouse-Webhooks/1"


@dataclass(frozen=True)
class PostResult:
    """The result of one attempt. `status` is None if there was no response; `error` says what went wrong."""

    duration_ms: int
    status: int | None = None
    response: str = ""
    error: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def sign(message_id: str, body: str, secrets: list[str], *, at: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks, and of Svix for older clients: ID, time and a signature per secret."""
    signature = " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets)
    values = {"id": message_id, "timestamp": str(int(at.timestamp())), "signature": signature}
    return {f"{prefix}-{name}": value for prefix in ("webhook", "svix") for name, value in values.items()}


def post(url: str, body: str, headers: Mapping[str, str]) -> PostResult:
    """Send a body and return the result; never raises. Redirects aren't followed and proxies aren't used.

    A request that takes more than 15 seconds is cut off, even if it is still receiving data. The host is looked up
    once, all its addresses are checked, and the request goes to one of these: a name that resolves differently a
    moment later can't reach an unchecked address. The certificate is checked against the name.
    """
    began = time.monotonic()
    try:
        status, response = _post(url, body, headers, began)
    except (TargetRefused, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return PostResult(_since(began), error=_describe(error, began)[:255])
    error_text = "" if 200 <= status < 300 else f"HTTP {status}"
    return PostResult(_since(began), status, response, error_text)


def _describe(error: Exception, began: float) -> str:
    if time.monotonic() - began >= TOTAL_S:
        return f"No complete response within {TOTAL_S} seconds."
    return str(error) if isinstance(error, TargetRefused) else f"{type(error).__name__}: {error}"


@contextmanager
def _cut_off() -> Iterator[dict[str, Any]]:
    """Yield a request extension that finds the socket, and close the socket when the total time is up.

    The timeouts of httpx restart with every byte received.
    """
    sockets: list[socket.socket] = []

    def remember_socket(event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            sockets.append(info["return_value"].get_extra_info("socket"))

    def close() -> None:
        with suppress(OSError):
            sockets[-1].shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL_S, lambda: close() if sockets else None)
    timer.daemon = True
    timer.start()
    try:
        yield {"trace": remember_socket}
    finally:
        timer.cancel()


def _post(url: str, body: str, headers: Mapping[str, str], began: float) -> tuple[int, str]:
    parts = check_url(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(host, port)[0]
    target = httpx.URL(url).copy_with(host=address)
    defaults = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "Accept-Encoding": "identity",
    }
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    with (
        _cut_off() as extensions,
        httpx.Client(verify=_tls(), trust_env=False, follow_redirects=False, timeout=timeout) as client,
        client.stream(
            "POST",
            target,
            content=body.encode(),
            headers={**defaults, **headers},
            extensions=extensions | {"sni_hostname": host},
        ) as response,
    ):
        return response.status_code, _excerpt(response, began)


def _excerpt(response: httpx.Response, began: float) -> str:
    """Read only the beginning of a response, so that a long or slow response doesn't hold up the sender."""
    content = b""
    for part in response.iter_raw(1024):
        content += part
        if len(content) >= 4 * EXCERPT or time.monotonic() - began > TOTAL_S:
            break
    return content.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:EXCERPT]


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
