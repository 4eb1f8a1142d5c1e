"""Send one signed message over HTTP, to the IP address that was checked."""

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
USER_AGENT = "Countinghouse-Webhooks/1"


@dataclass(frozen=True)
class AttemptResult:
    """The result of one attempt. `status` is None without a response, and `error` says what went wrong."""

    duration_ms: int
    status: int | None = None
    response: str = ""
    error: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def make_headers(message_id: str, body: str, secrets: list[str], *, at: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks, also with Svix's names: id, time, and one signature for each secret."""
    signature = " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets)
    values = {"id": message_id, "timestamp": str(int(at.timestamp())), "signature": signature}
    return {f"{prefix}-{name}": value for prefix in ("webhook", "svix") for name, value in values.items()}


def post_message(url: str, body: str, headers: Mapping[str, str]) -> AttemptResult:
    """Send a body and return the result, also if it fails. Redirects aren't followed, and proxies aren't used.

    The connection is closed after 15 seconds, even if the endpoint is still sending. The host is resolved once, all its
    IP addresses are checked, and the connection is made to one of them, so that a change in DNS can't lead to another
    address. The certificate is checked against the host name.
    """
    started = time.monotonic()
    try:
        status, response = _post(url, body, headers, started)
    except (TargetRefused, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return AttemptResult(_elapsed_ms(started), error=_describe_error(error, started)[:255])
    error_text = "" if 200 <= status < 300 else f"HTTP {status}"
    return AttemptResult(_elapsed_ms(started), status, response, error_text)


def _describe_error(error: Exception, started: float) -> str:
    if time.monotonic() - started >= TOTAL_S:
        return f"There was no complete response within {TOTAL_S} seconds."
    return str(error) if isinstance(error, TargetRefused) else f"{type(error).__name__}: {error}"


@contextmanager
def _close_on_timeout() -> Iterator[dict[str, Any]]:
    """Yield a request extension that closes the connection when the total time is up.

    The client's timeouts start again with every byte received, so they don't limit the total time.
    """
    sockets: list[socket.socket] = []

    def remember_socket(event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            sockets.append(info["return_value"].get_extra_info("socket"))

    def close_socket() -> None:
        with suppress(OSError):
            sockets[-1].shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL_S, lambda: close_socket() if sockets else None)
    timer.daemon = True
    timer.start()
    try:
        yield {"trace": remember_socket}
    finally:
        timer.cancel()


def _post(url: str, body: str, headers: Mapping[str, str], started: float) -> tuple[int, str]:
    parts = check_url(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(host, port)[0]
    target = httpx.URL(url).copy_with(host=address)
    base_headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
    }
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    with (
        _close_on_timeout() as extensions,
        httpx.Client(verify=_create_tls_context(), trust_env=False, follow_redirects=False, timeout=timeout) as client,
        client.stream(
            "POST",
            target,
            content=body.encode(),
            headers={**base_headers, **headers},
            extensions=extensions | {"sni_hostname": host},
        ) as response,
    ):
        return response.status_code, _read_excerpt(response, started)


def _read_excerpt(response: httpx.Response, started: float) -> str:
    """Read only the beginning of a response, so that a long or slow response doesn't delay the sender."""
    content = b""
    for part in response.iter_raw(1024):
        content += part
        if len(content) >= 4 * EXCERPT or time.monotonic() - started > TOTAL_S:
            break
    return content.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:EXCERPT]


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@cache
def _create_tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
