"""Compares two bodies with the same event_id, line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from difflib import SequenceMatcher
from typing import Any

import orjson
from django.utils.dateparse import parse_datetime

from events.models import Event

LONGEST = 2_000  # lines; the rest of a longer body isn't compared


@dataclass(frozen=True)
class Pair:
    """A line of the first body and of the repeat. One is blank if only the other body has the line."""

    first: str
    repeat: str

    @property
    def differs(self) -> bool:
        return self.first != self.repeat


def event_body(event: Event) -> dict[str, Any]:
    """Return the body of the ledger's event in the format of a stored repeat."""
    return {
        "event_name": event.event_name,
        "external_customer_id": event.external_customer_id,
        "timestamp": event.occurred_at.isoformat() if event.has_timestamp else None,
        "source": event.source,
        "properties": event.properties,
    }


def compare(first: Event, repeat: dict[str, Any]) -> list[Pair]:
    """Pair the lines of both bodies, with sorted keys, so that only values differ."""
    return list(
        _pairs(_lines(event_body(first)), _lines({**repeat, "timestamp": _in_ledger_format(repeat.get("timestamp"))}))
    )


def _in_ledger_format(timestamp: Any) -> Any:
    """Format a time as in the ledger's body: PostgreSQL and Python format the same time differently."""
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
