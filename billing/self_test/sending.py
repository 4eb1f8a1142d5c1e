"""Send the self-test's events and its webhook over HTTP, to the address at which others reach the product."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings

from billing.self_test.expected import EVENTS
from billing.self_test.stages import Differs
from config.server.derived import derive
from config.webhooks.posting import sign

TIMEOUT_S = 15
CONNECT_AGAIN = 7  # times, with growing pauses: half a minute, in which web can start
WEBHOOK_PATH = "/v1/self-tests/webhook"


def send_events(name: str, key: str, *, since: datetime) -> None:
    """Send all events as a batch, and the first one again. Raises `Differs` unless both are accepted."""
    events = [
        {
            "event_id": f"{name}-{number}",
            "event_name": name,
            "external_customer_id": name,
            "timestamp": (since + offset).isoformat(),
            "properties": {"units": float(units)},
        }
        for number, (offset, units) in enumerate(EVENTS, start=1)
    ]
    with _client({"x-api-key": key}) as client, _naming_address():
        _check("POST /v1/events/bulk", client.post("/v1/events/bulk", json={"events": events}), httpx.codes.ACCEPTED)
        _check("POST /v1/events", client.post("/v1/events", json=events[0]), httpx.codes.ACCEPTED)


def send_webhook(body: str, *, message_id: str, at: datetime) -> Mapping[str, Any]:
    """Sign and send a webhook message to the product itself, and return what the receiver read from it."""
    headers = sign(message_id, body, [webhook_secret()], at=at)
    with _client({**headers, "content-type": "application/json"}) as client, _naming_address():
        response = client.post(WEBHOOK_PATH, content=body.encode())
    _check("the webhook", response, httpx.codes.OK)
    received: Mapping[str, Any] = response.json()
    return received


def webhook_secret() -> str:
    """Return the secret that signs the self-test's webhook."""
    return f"whsec_{base64.b64encode(derive('self-test webhook')).decode()}"


def _client(headers: Mapping[str, str]) -> httpx.Client:
    transport = httpx.HTTPTransport(retries=CONNECT_AGAIN)
    return httpx.Client(
        base_url=settings.SELF_TEST_URL, headers=dict(headers), timeout=TIMEOUT_S, trust_env=False, transport=transport
    )


@contextmanager
def _naming_address() -> Iterator[None]:
    """Say which address can't be reached."""
    try:
        yield
    except httpx.TransportError as error:
        raise Differs(f"{settings.SELF_TEST_URL} can't be reached: {error}") from error


def _check(what: str, response: httpx.Response, status: int) -> None:
    if response.status_code != status:
        raise Differs(f"{what} at {settings.SELF_TEST_URL} returned {response.status_code}, not {status}.")
