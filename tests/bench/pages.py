"""Measure the response times of admin pages, those about events and an empty one, on the server of `serve`."""

import os
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from django.contrib.auth.models import User
from django.db import connection
from django.urls import reverse

from customers.models import Customer
from events.models import Event, EventState
from tests.bench.figures import Figure
from tests.bench.ingest import wait_until_counted

ROUNDS = 25
Data = dict[str, Any]
# One event in a hundred is a problem, with about forty different causes. Some ids are duplicates.
PROBLEM_EVENTS = """
INSERT INTO events_inboxrequest (
    received_at, event_ids, event_names, external_customer_ids, occurred_at, sources, properties
)
SELECT
    clock_timestamp(), array_agg('trouble-' || no %% (%(events)s - 500)),
    array_agg(CASE no %% 4 WHEN 0 THEN 'Model.Usage' WHEN 1 THEN 'renamed.' || no %% 20 ELSE 'model.usage' END),
    array_agg(CASE WHEN no %% 4 = 2 THEN 'stranger-' || no %% 15 ELSE 'cust_' || lpad((no & 1023)::text, 4, '0') END),
    array_agg(%(start)s::timestamptz + random() * interval '92 days'), array_agg('trouble'::text),
    array_agg(jsonb_build_object('tokens', (no %% 5000)::text, 'user_id', 'u' || no %% 500, 'region', 'eu-' || no %% 7))
FROM generate_series(1, %(events)s::bigint) AS no
GROUP BY no / 1000
"""


EMPTY = "an empty page"


def time_pages(base_url: str) -> dict[str, list[float]]:
    """Log in and request every page in turn. Returns the milliseconds of each request, by page."""
    addresses = list_pages()
    times: dict[str, list[float]] = {name: [] for name in addresses}
    with log_in(base_url) as client:
        for turn in range(ROUNDS + 2):
            for name, address in addresses.items():
                duration_ms = request_page(client, address)
                if turn > 1:  # caches are warm by then
                    times[name].append(duration_ms)
    return times


def make_page_figures(small: dict[str, list[float]], large: dict[str, list[float]], data: Data) -> Iterator[Figure]:
    """Compare the pages about events with an empty page, and with the same pages at a hundredth of the events."""
    medians = {name: statistics.median(times) for name, times in large.items()}
    growth = {name: median / statistics.median(small[name]) for name, median in medians.items()}
    requests = [duration_ms for name, times in large.items() if name != EMPTY for duration_ms in times]
    data = data | {"pages": len(medians) - 1, "requests": len(requests), "load_average": round(os.getloadavg()[0], 1)}
    slowest = sorted(medians, key=lambda name: -medians[name])[:5]
    yield Figure(
        "admin_ratio",
        compute_p95(requests) / compute_p95(large[EMPTY]),
        "of empty page",
        3,
        True,
        data
        | {
            "p95_ms": round(compute_p95(requests), 1),
            "empty_p95_ms": round(compute_p95(large[EMPTY]), 1),
            "slowest_median_ms": {name: round(medians[name], 1) for name in slowest},
        },
    )
    growing = sorted(growth, key=lambda name: -growth[name])[:5]
    yield Figure(
        "admin_growth",
        sum(medians.values()) / sum(statistics.median(times) for times in small.values()),
        "times",
        1.2,
        True,
        data | {"growing_most": {name: round(growth[name], 2) for name in growing}},
    )


def add_problems(events: int) -> None:
    """Let the worker process events with problems, and duplicates."""
    with connection.cursor() as cursor:
        cursor.execute(PROBLEM_EVENTS, {"events": max(events, 1_000), "start": datetime(2026, 8, 1, tzinfo=UTC)})
    wait_until_counted()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE events_event, events_problem, events_duplicateevent")


def list_pages() -> dict[str, str]:
    """Return the pages by name: an empty one, Home, the dashboard with its filters, the debugger, and problems."""
    events, debugger = reverse("admin:events_event_changelist"), reverse("admin:events_debugger")
    counted = Event.objects.filter(state=EventState.COUNTED).order_by("-pk")[Event.objects.count() // 2]
    problem = Event.objects.filter(state=EventState.PROBLEM).order_by("-pk")[:1].get()
    customer = Customer.objects.order_by("pk")[7].pk
    return {
        EMPTY: reverse("bench_empty_page"),
        "home": reverse("admin:index"),
        "events": events,
        "events, page in the middle": f"{events}?older_than={counted.pk}",
        "events of a state": f"{events}?state={EventState.PROBLEM.value}",
        "events, counted": f"{events}?state={EventState.COUNTED.value}&received=day",
        "events with an open reason": f"{events}?reason=not_a_number",
        "events of a name": f"{events}?event_name=model.usage",
        "events of a name that has none": f"{events}?event_name=nothing.like.it",
        "events of a customer": f"{events}?customer__id__exact={customer}",
        "events of a customer and name": f"{events}?customer__id__exact={customer}&event_name=api.calls",
        "events of a source": f"{events}?source=fill",
        "events of a source that has none": f"{events}?source=nothing",
        "events with a property": f"{events}?property=model:large-2",
        "events with a property that none has": f"{events}?property=model:small-1",
        "events received in a range": f"{events}?received_at_from_0=2026-01-01&received_at_to_0=2100-01-01",
        "events that occurred in a range": f"{events}?occurred_at_from_0=2026-09-01&occurred_at_to_0=2026-09-02",
        "an event by its id": f"{events}?q={counted.event_id}",
        "event page": reverse("admin:events_event_change", args=[counted.pk]),
        "debugger": debugger,
        "debugger, live": reverse("admin:events_debugger_feed"),
        "debugger, problems only": f"{debugger}?state=problems",
        "debugger, a name that has none": f"{debugger}?name=nothing.like.it",
        "debugger, a counted event": f"{debugger}?event={counted.event_id}",
        "debugger, a problem": f"{debugger}?event={problem.event_id}",
        "problems by cause": reverse("admin:events_problem_causes"),
        "problems one by one": reverse("admin:events_problem_changelist"),
        "duplicates": reverse("admin:events_duplicateevent_changelist"),
    }


@contextmanager
def log_in(base_url: str) -> Iterator[httpx.Client]:
    """Yield a client that is logged in as a new superuser through the login form."""
    password = secrets.token_urlsafe(16)
    user = User.objects.create_superuser(f"bench-{secrets.token_hex(4)}", password=password)
    login = reverse("admin:login")
    with httpx.Client(base_url=base_url, timeout=120) as client:
        client.get(login).raise_for_status()
        form = {"login": user.username, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        response = client.post(login, data=form, headers={"Referer": f"{base_url}{login}"})
        if response.status_code != httpx.codes.FOUND:
            raise SystemExit(f"The login responded {response.status_code}.")
        yield client


def request_page(client: httpx.Client, address: str) -> float:
    """Return the milliseconds from the request of a page to the last byte of the response."""
    started = time.perf_counter()
    response = client.get(address)
    duration_ms = (time.perf_counter() - started) * 1_000
    if response.status_code != httpx.codes.OK:
        raise SystemExit(f"{address} responded {response.status_code}.")
    return duration_ms


def compute_p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]
