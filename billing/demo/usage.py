"""The usage of the demo's customers: two months of events with daily and weekly patterns. Pure and reproducible.

The random generator of each day is seeded with the customer and the day. An event's id, time and values therefore don't
depend on when the demo runs: a later run sends the same events, and more.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.demo.customers import CUSTOMERS, DemoCustomer
from billing.demo.timeline import Timeline

type DemoEvent = dict[str, Any]

# The weight of each hour of the day in the customer's time zone.
HOURS = (1, 1, 1, 1, 1, 2, 4, 7, 12, 15, 16, 14, 11, 14, 16, 15, 13, 10, 7, 5, 4, 3, 2, 1)
WEEKEND = 0.4
GROWTH_A_DAY = 0.006
MODELS = ("lark-mini", "lark-pro", "lark-pro-preview")
MODEL_WEIGHTS = (70, 25, 5)
MODEL_CALLS = 0.5  # the share of API calls that use a model
PATHS = ("/v1/chat", "/v1/embed", "/v1/search", "/v1/files")
ONE_DAY = timedelta(days=1)


def list_usage(timeline: Timeline, *, until: datetime) -> list[DemoEvent]:
    """Return the usage of all customers from the start of their subscriptions until a time, by time."""
    events = [
        event for customer in CUSTOMERS if customer.plan for event in iterate_usage(customer, timeline, until=until)
    ]
    return sorted(events, key=lambda event: (event["timestamp"], event["event_id"]))


def iterate_usage(customer: DemoCustomer, timeline: Timeline, *, until: datetime) -> Iterator[DemoEvent]:
    """Yield a customer's usage by day, from the start of its subscription until a time or the subscription's end."""
    zone = ZoneInfo(customer.timezone)
    end = min(until, customer.ends_at(timeline) or until)
    day = customer.starts_at(timeline).astimezone(zone).date()
    last_day = end.astimezone(zone).date()
    while day <= last_day:
        yield from (event for event in _build_day(customer, timeline, day) if parse_time(event) < end)
        day += ONE_DAY


def parse_time(event: DemoEvent) -> datetime:
    """Return the time at which an event occurred."""
    return datetime.fromisoformat(event["timestamp"])


def build_event(event_id: str, name: str, customer: str, at: datetime, **properties: Any) -> DemoEvent:
    """Build the JSON body of an event, with its time in UTC to the millisecond."""
    return {
        "event_id": event_id,
        "event_name": name,
        "external_customer_id": customer,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "source": "demo",
        "properties": properties,
    }


def _build_day(customer: DemoCustomer, timeline: Timeline, day: date) -> Iterator[DemoEvent]:
    generator = random.Random(f"{customer.external_id} {day}")  # noqa: S311  plausible, not secret
    requests = _draw_request_count(customer, timeline, day, generator)
    prefix = f"{customer.external_id}.{day:%Y%m%d}"
    for number in range(requests):
        at = _draw_time(customer, day, generator)
        yield build_event(
            f"{prefix}.call.{number}", "api.calls", customer.external_id, at, path=generator.choice(PATHS)
        )
        if generator.random() < MODEL_CALLS:
            model = generator.choices(MODELS, MODEL_WEIGHTS)[0]
            tokens = int(generator.lognormvariate(8.4, 0.7))
            yield build_event(
                *(f"{prefix}.model.{number}", "model.usage", customer.external_id, at + timedelta(milliseconds=850)),
                model=model,
                tokens=tokens,
            )
    for user in generator.sample(range(customer.users), k=min(customer.users, requests, 1 + customer.users // 3)):
        at = _draw_time(customer, day, generator)
        user_id = f"user-{user + 1:03}"
        yield build_event(f"{prefix}.user.{user}", "active.users", customer.external_id, at, user_id=user_id)
    stored = Decimal(generator.randint(-40, 160)) / 100
    yield build_event(
        f"{prefix}.stored", "storage.usage", customer.external_id, _draw_time(customer, day, generator), gb=stored
    )


def _draw_request_count(customer: DemoCustomer, timeline: Timeline, day: date, generator: random.Random) -> int:
    growth = 1 + GROWTH_A_DAY * (day - timeline.begins_on).days
    weekday = WEEKEND if day.weekday() >= 5 else 1
    return max(1, round(customer.requests_a_day * growth * weekday * generator.uniform(0.85, 1.15)))


def _draw_time(customer: DemoCustomer, day: date, generator: random.Random) -> datetime:
    """Draw a time of the customer's day. In an hour that daylight saving skips, it is an hour later."""
    hour = generator.choices(range(24), HOURS)[0]
    local = datetime.combine(day, time(hour), ZoneInfo(customer.timezone))
    return local.astimezone(UTC) + timedelta(milliseconds=generator.randrange(3_600_000))
