"""The mistakes that real senders make, each as a small set of events: what the demo's problem pages are about. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from billing.demo.clients import ALDER, BRIGHTWATER, CLIENTS, KESTREL, MIRAI, MONSOON, PALISADE, QUAYSIDE, TINTA
from billing.demo.story import Story, midnight
from billing.demo.usage import WireEvent, wire_event


@dataclass(frozen=True)
class Mistake:
    """What somebody sends, in a few words. One that `counts` is no problem of an event, but on no invoice either."""

    says: str
    events: Sequence[WireEvent]
    counts: bool = False


def mistakes(story: Story) -> list[Mistake]:
    """Return what goes wrong, in the hours before the day on which the demo was made. It is sent once."""
    return [
        Mistake(
            "the wrong case: Model.Usage",
            _spread(story, "case", 24, "Model.Usage", KESTREL, model="lark-mini", tokens=900),
        ),
        Mistake(
            "an unknown customer: brightwater-analytic",
            _spread(story, "customer", 18, "api.calls", "brightwater-analytic", path="/v1/chat"),
        ),
        Mistake(
            'a number in quotes: "tokens": "1250"',
            _spread(story, "string", 15, "model.usage", MONSOON, model="lark-mini", tokens="1250"),
        ),
        Mistake(
            "a misnamed field: token, not tokens",
            _spread(story, "field", 9, "model.usage", MIRAI, model="lark-pro", token=700),
        ),
        Mistake(
            "a missing field: no tokens at all",
            _spread(story, "missing", 6, "model.usage", PALISADE, model="lark-mini"),
        ),
        Mistake(
            "a model that no feature counts: lark-nano",
            _spread(story, "filter", 4, "model.usage", KESTREL, model="lark-nano", tokens=300),
        ),
        Mistake(
            "an archived feature: image.generated",
            _spread(story, "archived", 5, "image.generated", MIRAI, size="1024"),
        ),
        Mistake(
            "a customer without a subscription: Alder Labs",
            _spread(story, "unsubscribed", 40, "api.calls", ALDER, path="/v1/embed"),
            counts=True,
        ),
        Mistake("usage after the subscription's end: Tinta Estudio", _after_the_end(story), counts=True),
    ]


def late_events(story: Story) -> list[WireEvent]:
    """Return calls of the first month, from a server that was offline: sent once that month is invoiced."""
    first = midnight(story.day(3), "UTC")
    return [
        wire_event(
            f"late.{number}", "api.calls", QUAYSIDE, first + timedelta(hours=11, minutes=4 * number), path="/v1/search"
        )
        for number in range(30)
    ]


def repeats(sent: Sequence[WireEvent]) -> list[WireEvent]:
    """Return events that come a second time, from those that were sent first: most the same, the last three not.

    They are the first calls of the customer whose invoice is printed: its count must not change.
    """
    calls = [event for event in sent if (event["external_customer_id"], event["event_name"]) == _CALLS][:25]
    return calls[:22] + [{**event, "properties": {"path": "/v1/retry"}} for event in calls[22:]]


_CALLS = (BRIGHTWATER, "api.calls")


def _spread(story: Story, slug: str, count: int, name: str, customer: str, **properties: str | int) -> list[WireEvent]:
    """Make events ten minutes apart, the last one just before the day on which the demo was made."""
    end = midnight(story.made_on, "UTC")
    return [
        wire_event(
            f"mistake.{slug}.{number}", name, customer, end - timedelta(minutes=10 * (count - number)), **properties
        )
        for number in range(count)
    ]


def _after_the_end(story: Story) -> list[WireEvent]:
    client = next(client for client in CLIENTS if client.external_id == TINTA)
    end = client.ends_at(story) or client.starts_at(story)
    return [
        wire_event(f"mistake.ended.{number}", "api.calls", TINTA, end + timedelta(hours=3 + number), path="/v1/chat")
        for number in range(8)
    ]
