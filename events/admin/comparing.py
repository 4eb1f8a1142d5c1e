"""Two bodies of one event_id, side by side, line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from difflib import SequenceMatcher
from typing import Any

import orjson
from django.utils.dateparse import parse_datetime

from events.models import Event

LONGEST = 2_000  # lines; a longer body is compared up to here


@dataclass(frozen=True)
class Pair:
    """A line of the first body beside one of the repeat; either is empty where the other has one more."""

    first: str
    repeat: str

    @property
    def differs(self) -> bool:
        return self.first != self.repeat


def event_body(event: Event) -> dict[str, Any]:
    """Give what the ledger's event said, in the shape in which a conflicting repeat is kept."""
    return {
        "event_name": event.event_name,
        "external_customer_id": event.external_customer_id,
        "timestamp": event.occurred_at.isoformat() if event.has_timestamp else None,
        "source": event.source,
        "properties": event.properties,
    }


def compare(first: Event, repeat: dict[str, Any]) -> list[Pair]:
    """Pair the lines of both bodies up, keys in the order of the alphabet, so that only contents differ."""
    return list(_pairs(_lines(event_body(first)), _lines({**repeat, "timestamp": _same_form(repeat.get("timestamp"))})))


def _same_form(timestamp: Any) -> Any:
    """Write a time as the ledger's is written: PostgreSQL and Python spell the same moment differently."""
    moment = parse_datetime(timestamp) if isinstance(timestamp, str) else None
    return moment.astimezone(UTC).isoformat() if moment and moment.tzinfo else timestamp


def _lines(body: dict[str, Any]) -> list[str]:
    text = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS, default=str).decode()
    return text.splitlines()[:LONGEST]


def _pairs(left: list[str], right: list[str]) -> Iterator[Pair]:
    for kind, start, end, other_start, other_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (Pair(line, line) for line in left[start:end])
            continue
        first, repeat = left[start:end], right[other_start:other_end]
        for number in range(max(len(first), len(repeat))):
            yield Pair(first[number] if number < len(first) else "", repeat[number] if number < len(repeat) else "")
