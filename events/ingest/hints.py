"""Warn a sender in the answer about numbers that are sent as text, which a feature doesn't count.

An accepted event is looked at without waiting for the database: the features are remembered for ten seconds.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError

from catalog.models import Aggregation, Feature
from events.ingest.payload import IncomingEvent

REMEMBERED_S = 10.0
MOST_EVENTS = 100  # of a batch
_may_hold_text_number = re.compile(r'"\s*:\s*"\s*[-+]?[.\d]').search
_is_number = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*").fullmatch


@dataclass
class _Strict:
    """The features that don't count text, as (field, name) by event name, and when they were read."""

    read_at: float = float("-inf")
    fields: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


_strict = _Strict()


def warn_about_text(events: Sequence[IncomingEvent]) -> str:
    """Return a sentence about the first number that is sent as text for a feature that doesn't accept it, or ""."""
    for event in events[:MOST_EVENTS]:
        if not _may_hold_text_number(event.properties):
            continue
        properties = json.loads(event.properties)
        for name, feature in _fields_of(event.event_name):
            value = properties.get(name)
            if isinstance(value, str) and _is_number(value):
                return (
                    f"{name} is the text “{value[:40]}”, and the feature {feature} counts only JSON numbers: send the "
                    "number without quotes, or let the feature accept numeric strings (official SDKs send text)."
                )
    return ""


def _fields_of(event_name: str) -> list[tuple[str, str]]:
    now = time.monotonic()
    if now - _strict.read_at > REMEMBERED_S:
        _strict.read_at = now
        _strict.fields = _read()
    return _strict.fields.get(event_name, [])


def _read() -> dict[str, list[tuple[str, str]]]:
    """Read the features. Without a database there is no warning: the event is accepted all the same."""
    fields: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = Feature.objects.metered().active().filter(accept_numeric_strings=False).exclude(field="")
    rows = rows.exclude(aggregation=Aggregation.UNIQUE_COUNT).order_by("pk")
    try:
        for event_name, name, feature in rows.values_list("event_name", "field", "name"):
            fields[event_name].append((name, feature))
    except DatabaseError:
        return {}
    return dict(fields)
