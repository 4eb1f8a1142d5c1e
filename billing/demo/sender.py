"""Send the demo's missing events through the HTTP API, and make two requests that are refused."""

from collections.abc import Callable, Sequence
from itertools import batched
from typing import Self

import httpx
import msgspec

from billing.demo.usage import DemoEvent
from config.server.problems import StartupProblem
from events.models import DuplicateEvent, Event, InboxEvent, KnownId, RefusedRequest

BATCH = 1_000
SINGLES = 40
TIMEOUT_S = 60
WRONG_KEY = "sk_this-key-was-never-made-00000000000000000000"

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Sender:
    """A client with an API key. Raises StartupProblem for an unexpected response."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def send(self, events: Sequence[DemoEvent], *, done: Callable[[int], None] = lambda count: None) -> int:
        """Send the events that weren't received before, and return their number. `done` is called after each batch.

        A few events are sent one by one, more in batches of a thousand.
        """
        sent = 0
        for batch in batched(events, BATCH):
            new = _exclude_received(batch)
            if len(new) > SINGLES:
                self._post("/v1/events/bulk", {"events": new})
            else:
                for event in new:
                    self._post("/v1/events", event)
            sent += len(new)
            done(len(batch))
        return sent

    def send_again(self, events: Sequence[DemoEvent]) -> None:
        """Send received events a second time, unless an earlier run did."""
        ids = [event["event_id"] for event in events]
        if events and not DuplicateEvent.objects.filter(event_id__in=ids).exists():
            self._post("/v1/events/bulk", {"events": events})

    def make_refused_requests(self) -> None:
        """Send an event with a wrong key and an event without a name, unless the log has such refused requests."""
        nameless = {"external_customer_id": "brightwater-analytics"}
        event = {"event_name": "api.calls", **nameless}
        if not RefusedRequest.objects.filter(status=httpx.codes.UNAUTHORIZED).exists():
            self._post("/v1/events", event, key=WRONG_KEY, expected=httpx.codes.UNAUTHORIZED)
        if not RefusedRequest.objects.filter(status=httpx.codes.BAD_REQUEST).exists():
            self._post("/v1/events", nameless, expected=httpx.codes.BAD_REQUEST)

    def _post(self, path: str, body: object, *, key: str = "", expected: int = httpx.codes.ACCEPTED) -> None:
        headers = {"content-type": "application/json", **({"x-api-key": key} if key else {})}
        try:
            response = self._http.post(path, content=_encode(body), headers=headers)
        except httpx.HTTPError as error:
            raise StartupProblem(f"{self._http.base_url} doesn't respond: {error}") from error
        if response.status_code != expected:
            raise StartupProblem(
                f"POST {path} returned {response.status_code} instead of {expected}: {response.text[:300]}"
            )


def _exclude_received(events: Sequence[DemoEvent]) -> list[DemoEvent]:
    """Return the events whose ids weren't received before."""
    ids = [event["event_id"] for event in events]
    received = KnownId.objects.among(ids)
    for model in (Event, InboxEvent):
        received |= set(model._default_manager.filter(event_id__in=ids).values_list("event_id", flat=True))
    return [event for event in events if event["event_id"] not in received]
