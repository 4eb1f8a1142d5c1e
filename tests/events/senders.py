"""Helpers that put events into the inbox, as the API does."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.db import connection

from events.history.lookup import find_events
from events.history.sealing import seal_next
from events.ledger.conflicts import compare_unread
from events.ledger.processing import BatchResult, process_batch
from events.models import Event
from tests.services import SEALED

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_ids = count(1)


def send(
    event_name: str = "api.calls",
    *,
    customer: str = "acme",
    at: datetime | None = NOON,
    event_id: str | None = None,
    received_at: datetime = NOON,
    source: str = "",
    **properties: Any,
) -> str:
    """Put an event into the inbox and return its id. `at=None` sends no timestamp."""
    name = event_id or f"event-{next(_ids)}"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_inboxrequest (event_ids, event_names, external_customer_ids, occurred_at, received_at,"
            " sources, properties) VALUES (ARRAY[%s], ARRAY[%s], ARRAY[%s], ARRAY[%s::timestamptz], %s, ARRAY[%s],"
            " ARRAY[%s::jsonb])",
            [name, event_name, customer, at, received_at, source, as_json(properties)],
        )
    return name


def as_json(properties: dict[str, Any]) -> str:
    """Write properties as JSON with exact decimals."""
    text = json.dumps(properties, ensure_ascii=False, default=lambda number: f"\ue000{number}\ue000")
    return re.sub('"\ue000([^\ue000]*)\ue000"', r"\1", text)


def process(limit: int = 10_000) -> BatchResult:
    """Process one batch. With SEALED=1, all events that can be sealed are sealed right after."""
    result = process_batch(limit)
    if SEALED:
        while seal_next(now=NOON + timedelta(days=10_000)):
            pass
        while compare_unread():
            pass
    return result


def ledger(event_id: str) -> Event:
    """Find a processed event, sealed or not."""
    event: Event
    [event] = find_events([event_id])
    return event


def open_reasons(event_id: str) -> list[str]:
    """List the reasons of an event's open problems."""
    return sorted(ledger(event_id).problems.filter(state=1).values_list("reason", flat=True))


def send_all(events: Iterable[dict[str, Any]]) -> list[str]:
    return [send(**event) for event in events]
