"""What the demo's customers use: two months of events with the rhythm of days and weeks. Pure, and always the same.

A day of a customer is drawn from a generator seeded with both, so an event's id, time and values don't depend on when
it is asked for: a later run sends the same events, and more.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.demo.clients import CLIENTS, Client
from billing.demo.story import Story

type WireEvent = dict[str, Any]

# How much of a day's usage falls into each hour of the customer's own clock.
HOURS = (1, 1, 1, 1, 1, 2, 4, 7, 12, 15, 16, 14, 11, 14, 16, 15, 13, 10, 7, 5, 4, 3, 2, 1)
WEEKEND = 0.4
GROWTH_A_DAY = 0.006
MODELS = ("lark-mini", "lark-pro", "lark-pro-preview")
MODEL_WEIGHTS = (70, 25, 5)
MODEL_CALLS = 0.5  # how many of the API calls run a model
PATHS = ("/v1/chat", "/v1/embed", "/v1/search", "/v1/files")
ONE_DAY = timedelta(days=1)


def all_usage(story: Story, *, until: datetime) -> list[WireEvent]:
    """Return every customer's usage from its subscription's start up to a moment, in the order it occurred."""
    found = [event for client in CLIENTS if client.plan for event in usage_of(client, story, until=until)]
    return sorted(found, key=lambda event: (event["timestamp"], event["event_id"]))


def usage_of(client: Client, story: Story, *, until: datetime) -> Iterator[WireEvent]:
    """Give a customer's usage, day by day, from its subscription's start up to a moment, or to its end if earlier."""
    zone = ZoneInfo(client.timezone)
    end = min(until, client.ends_at(story) or until)
    day = client.starts_at(story).astimezone(zone).date()
    last = end.astimezone(zone).date()
    while day <= last:
        yield from (event for event in _day(client, story, day) if moment_of(event) < end)
        day += ONE_DAY


def moment_of(event: WireEvent) -> datetime:
    """Return when an event occurred."""
    return datetime.fromisoformat(event["timestamp"])


def wire_event(event_id: str, name: str, customer: str, at: datetime, **properties: Any) -> WireEvent:
    """Write an event as the API takes it, the time in UTC to the millisecond."""
    return {
        "event_id": event_id,
        "event_name": name,
        "external_customer_id": customer,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "source": "demo",
        "properties": properties,
    }


def _day(client: Client, story: Story, day: date) -> Iterator[WireEvent]:
    draw = random.Random(f"{client.external_id} {day}")  # noqa: S311  plausible, not secret
    requests = _requests(client, story, day, draw)
    prefix = f"{client.external_id}.{day:%Y%m%d}"
    for number in range(requests):
        at = _moment(client, day, draw)
        yield wire_event(f"{prefix}.call.{number}", "api.calls", client.external_id, at, path=draw.choice(PATHS))
        if draw.random() < MODEL_CALLS:
            model = draw.choices(MODELS, MODEL_WEIGHTS)[0]
            tokens = int(draw.lognormvariate(8.4, 0.7))
            yield wire_event(
                *(f"{prefix}.model.{number}", "model.usage", client.external_id, at + timedelta(milliseconds=850)),
                model=model,
                tokens=tokens,
            )
    for user in draw.sample(range(client.users), k=min(client.users, requests, 1 + client.users // 3)):
        at = _moment(client, day, draw)
        user_id = f"user-{user + 1:03}"
        yield wire_event(f"{prefix}.user.{user}", "active.users", client.external_id, at, user_id=user_id)
    stored = Decimal(draw.randint(-40, 160)) / 100
    yield wire_event(f"{prefix}.stored", "storage.usage", client.external_id, _moment(client, day, draw), gb=stored)


def _requests(client: Client, story: Story, day: date, draw: random.Random) -> int:
    growth = 1 + GROWTH_A_DAY * (day - story.begins_on).days
    weekday = WEEKEND if day.weekday() >= 5 else 1
    return max(1, round(client.requests_a_day * growth * weekday * draw.uniform(0.85, 1.15)))


def _moment(client: Client, day: date, draw: random.Random) -> datetime:
    """Draw a moment of the customer's day. An hour that its clock skips is taken as an hour later."""
    hour = draw.choices(range(24), HOURS)[0]
    local = datetime.combine(day, time(hour), ZoneInfo(client.timezone))
    return local.astimezone(UTC) + timedelta(milliseconds=draw.randrange(3_600_000))
