"""The demo's client systems: they send what isn't there yet through the HTTP API, and make two refused requests."""

from collections.abc import Callable, Sequence
from itertools import batched
from typing import Self

import httpx
import msgspec

from billing.demo.usage import WireEvent
from config.server.problems import StartupProblem
from events.models import DuplicateEvent, Event, InboxEvent, PrunedEventId, RefusedRequest

BATCH = 1_000
SINGLES = 40
TIMEOUT_S = 60
WRONG_KEY = "sk_this-key-was-never-made-00000000000000000000"

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Sender:
    """A client with an API key. Raises StartupProblem when the service answers otherwise than it should."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def send(self, events: Sequence[WireEvent], *, done: Callable[[int], None] = lambda count: None) -> int:
        """Send those events that were never taken in; return how many. `done` hears of every batch that is through.

        The last few go one by one, the rest a thousand at a time.
        """
        sent = 0
        for part in batched(events, BATCH):
            new = unknown(part)
            if len(new) > SINGLES:
                self._post("/v1/events/bulk", {"events": new})
            else:
                for event in new:
                    self._post("/v1/events", event)
            sent += len(new)
            done(len(part))
        return sent

    def send_again(self, events: Sequence[WireEvent]) -> None:
        """Send events that were taken in already, unless they were sent again before."""
        ids = [event["event_id"] for event in events]
        if events and not DuplicateEvent.objects.filter(event_id__in=ids).exists():
            self._post("/v1/events/bulk", {"events": events})

    def make_refused_requests(self) -> None:
        """Send an event with a wrong key, and one without its name, unless the log of refusals has such already."""
        nameless = {"external_customer_id": "brightwater-analytics"}
        event = {"event_name": "api.calls", **nameless}
        if not RefusedRequest.objects.filter(status=httpx.codes.UNAUTHORIZED).exists():
            self._post("/v1/events", event, key=WRONG_KEY, expected=httpx.codes.UNAUTHORIZED)
        if not RefusedRequest.objects.filter(status=httpx.codes.BAD_REQUEST).exists():
            self._post("/v1/events", nameless, expected=httpx.codes.BAD_REQUEST)

    def _post(self, path: str, body: object, *, key: str = "", expected: int = httpx.codes.ACCEPTED) -> None:
        headers = {"content-type": "application/json", **({"x-api-key": key} if key else {})}
        try:
            answer = self._http.post(path, content=_encode(body), headers=headers)
        except httpx.HTTPError as error:
            raise StartupProblem(f"{self._http.base_url} stopped answering: {error}") from error
        if answer.status_code != expected:
            raise StartupProblem(f"POST {path} answered {answer.status_code}, not {expected}: {answer.text[:300]}")


def unknown(events: Sequence[WireEvent]) -> list[WireEvent]:
    """Keep the events whose ids were never taken in."""
    ids = [event["event_id"] for event in events]
    known: set[str] = set()
    for model in (Event, InboxEvent, PrunedEventId):
        known |= set(model._default_manager.filter(event_id__in=ids).values_list("event_id", flat=True))
    return [event for event in events if event["event_id"] not in known]
