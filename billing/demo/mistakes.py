"""The mistakes that real senders make, each as a small set of events for the demo's problem pages. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from billing.demo.customers import ALDER, BRIGHTWATER, CUSTOMERS, KESTREL, MIRAI, MONSOON, PALISADE, QUAYSIDE, TINTA
from billing.demo.timeline import Timeline, midnight
from billing.demo.usage import DemoEvent, build_event


@dataclass(frozen=True)
class Mistake:
    """Events with the same mistake. If `is_counted`, the events have no problem, but no invoice charges them."""

    description: str
    events: Sequence[DemoEvent]
    is_counted: bool = False


def list_mistakes(timeline: Timeline) -> list[Mistake]:
    """List the mistakes of the hours before the day on which the demo was created. They are sent once."""
    return [
        Mistake(
            "the wrong case: Model.Usage",
            _build_events(timeline, "case", 24, "Model.Usage", KESTREL, model="lark-mini", tokens=900),
        ),
        Mistake(
            "an unknown customer: brightwater-analytic",
            _build_events(timeline, "customer", 18, "api.calls", "brightwater-analytic", path="/v1/chat"),
        ),
        Mistake(
            'a number in quotes: "tokens": "1250"',
            _build_events(timeline, "string", 15, "model.usage", MONSOON, model="lark-mini", tokens="1250"),
        ),
        Mistake(
            "a misnamed field: token, not tokens",
            _build_events(timeline, "field", 9, "model.usage", MIRAI, model="lark-pro", token=700),
        ),
        Mistake(
            "a missing field: no tokens at all",
            _build_events(timeline, "missing", 6, "model.usage", PALISADE, model="lark-mini"),
        ),
        Mistake(
            "a model that isn't in any feature's filter: lark-nano",
            _build_events(timeline, "filter", 4, "model.usage", KESTREL, model="lark-nano", tokens=300),
        ),
        Mistake(
            "an archived feature: image.generated",
            _build_events(timeline, "archived", 5, "image.generated", MIRAI, size="1024"),
        ),
        Mistake(
            "a customer without a subscription: Alder Labs",
            _build_events(timeline, "unsubscribed", 40, "api.calls", ALDER, path="/v1/embed"),
            is_counted=True,
        ),
        Mistake(
            "usage after the subscription's end: Tinta Estudio", _build_events_after_end(timeline), is_counted=True
        ),
    ]


def list_late_events(timeline: Timeline) -> list[DemoEvent]:
    """List calls of the first month from a server that was offline. They are sent after that month is invoiced."""
    first = midnight(timeline.day(3), "UTC")
    return [
        build_event(
            f"late.{number}", "api.calls", QUAYSIDE, first + timedelta(hours=11, minutes=4 * number), path="/v1/search"
        )
        for number in range(30)
    ]


def list_repeats(events: Sequence[DemoEvent]) -> list[DemoEvent]:
    """List the first events again: most unchanged, as in a retry, two with other properties, one of another customer.

    They are calls of the customer whose invoice is printed, because repeats must not change its quantities.
    """
    calls = [event for event in events if (event["external_customer_id"], event["event_name"]) == _REPEATED][:25]
    changed: list[DemoEvent] = [{**event, "properties": {"path": "/v1/retry"}} for event in calls[22:24]]
    return calls[:22] + changed + [{**event, "external_customer_id": KESTREL} for event in calls[24:]]


_REPEATED = (BRIGHTWATER, "api.calls")


def _build_events(
    timeline: Timeline, slug: str, count: int, name: str, customer: str, **properties: str | int
) -> list[DemoEvent]:
    """Build events ten minutes apart, the last ten minutes before the day on which the demo was created."""
    end = midnight(timeline.made_on, "UTC")
    return [
        build_event(
            f"mistake.{slug}.{number}", name, customer, end - timedelta(minutes=10 * (count - number)), **properties
        )
        for number in range(count)
    ]


def _build_events_after_end(timeline: Timeline) -> list[DemoEvent]:
    tinta = next(customer for customer in CUSTOMERS if customer.external_id == TINTA)
    end = tinta.ends_at(timeline) or tinta.starts_at(timeline)
    return [
        build_event(f"mistake.ended.{number}", "api.calls", TINTA, end + timedelta(hours=3 + number), path="/v1/chat")
        for number in range(8)
    ]
