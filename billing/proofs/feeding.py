"""The events that the rater asks for, read from the ledger."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from billing.proofs.asking import EventRow, Need
from events.usage.contributing_events import FeatureSpan, events_in


def events_for(customer_id: int, needs: Sequence[Need]) -> Iterator[tuple[int, EventRow]]:
    """Yield a customer's events as (feature, row), need by need, in the order of time."""
    spans = [FeatureSpan(customer_id, need["feature"], _moment(need["start"]), _moment(need["end"])) for need in needs]
    for place, at, checksum, number, key in events_in(spans) if spans else ():
        yield spans[place].feature_id, (at.isoformat(), checksum, None if number is None else f"{number:f}", key)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
