"""What became of the events of a time range: every event that was received is in exactly one row."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection

from customers.models import Customer, CustomerAlias
from customers.periods import Period
from events.history.pieces import cut_into_pieces, read_in_pieces
from events.history.reading import ledger
from events.history.selection import EventSelection
from events.models import EventState
from events.sql import compose, ledger_of, sections
from events.usage.contributing_events import LedgerEvent

CHUNK = 2_000  # rows


class Outcome(StrEnum):
    """What became of an event that was received."""

    COUNTED = "counted"
    PARTLY = "partly"
    PROBLEM = "problem"
    VOIDED = "voided"
    DISMISSED = "dismissed"
    OTHER_FEATURE = "other_feature"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REFUSED = "refused"
    WAITING = "waiting"


OUTCOMES = {
    EventState.COUNTED: Outcome.COUNTED,
    EventState.PARTLY: Outcome.PARTLY,
    EventState.PROBLEM: Outcome.PROBLEM,
    EventState.VOIDED: Outcome.VOIDED,
    EventState.DISMISSED: Outcome.DISMISSED,
    0: Outcome.OTHER_FEATURE,
}


@dataclass(frozen=True, slots=True)
class ReceivedEvents:
    """All events received, and how many of them have each outcome. Both are counted separately."""

    received: int
    outcomes: Mapping[Outcome, int]

    @property
    def unexplained(self) -> int:
        """Events that no outcome has, for example a problem that was deleted. Zero, if no event arrived meanwhile."""
        return self.received - sum(self.outcomes.values())


def received_events(
    period: Period, *, customer: Customer | None = None, feature_id: int | None = None
) -> ReceivedEvents:
    """Count the events of a range by what became of them.

    Events count at the time they occurred; duplicates and refused requests, of which that isn't stored, at the time of
    the last one. With a feature, only events whose name the feature counts are included, and no duplicates, refused
    requests and waiting events, whose feature isn't known.
    """
    parameters = _parameters(period, customer) | {"feature": feature_id}
    by_state = _count("by_state", parameters)
    outcomes = {OUTCOMES[state]: count for state, count in by_state.items() if state is not None}
    if feature_id is not None:
        return ReceivedEvents(by_state.total(), outcomes)
    received = _count("received", parameters)[None]
    [[same, conflicts]] = _rows("duplicates", parameters)
    [[refused]], [[waiting]] = _rows("refused", parameters), _rows("waiting", parameters)
    others = {
        Outcome.DUPLICATE: same,
        Outcome.CONFLICT: conflicts,
        Outcome.REFUSED: refused,
        Outcome.WAITING: waiting,
    }
    return ReceivedEvents(received + sum(others.values()), outcomes | others)


def events_with(
    outcome: Outcome | None, period: Period, *, customer: Customer | None = None, feature_id: int | None = None
) -> Iterator[LedgerEvent]:
    """Yield the events of the ledger that an outcome of `received_events` counts, or all of them, by time. Streams.

    There are none for duplicates, refused requests and waiting events, which aren't in the ledger.
    """
    states = None if outcome is None else [state for state, name in OUTCOMES.items() if name == outcome]
    parameters = _parameters(period, customer) | {"feature": feature_id, "states": states}
    for start, end in cut_into_pieces(period.start, period.end):
        piece = parameters | {"start": start, "end": end}
        with ledger([_select(piece)]) as with_sealed, connection.chunked_cursor() as cursor:
            cursor.execute(_query("with_states", piece, with_sealed=with_sealed), piece)
            while chunk := cursor.fetchmany(CHUNK):
                yield from (LedgerEvent(*row) for row in chunk)


def _count(name: str, parameters: dict[str, Any]) -> Counter[int | None]:
    """Count the ledger's events by state; under None those without, or all if the statement has no states."""

    def count(start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        piece = parameters | {"start": start, "end": end}
        with ledger([_select(piece)]) as with_sealed:
            return _run(_query(name, piece, with_sealed=with_sealed), piece)

    counts: Counter[int | None] = Counter()
    for rows in read_in_pieces(parameters["start"], parameters["end"], count):
        for *state, events in rows:
            counts[state[0] if state else None] += events
    return counts


def _select(parameters: dict[str, Any]) -> EventSelection:
    customer_id = parameters["customer"]
    customers = None if customer_id is None else [customer_id]
    return EventSelection(customers=customers, start=parameters["start"], end=parameters["end"])


def _query(name: str, parameters: dict[str, Any], *, with_sealed: bool) -> str:
    """Return a statement about the states of all events, or of the events whose name a feature counts."""
    parts = sections("reconciliation")
    rows = parts["states" if parameters["feature"] is None else "states_of_feature"]
    return compose(parts[name], rows=rows, **ledger_of(with_sealed=with_sealed))


def _parameters(period: Period, customer: Customer | None) -> dict[str, Any]:
    names: list[str] = []
    if customer is not None:
        aliases = CustomerAlias.objects.filter(customer=customer).values_list("alias", flat=True)
        names = [customer.external_id, *aliases]
    edges: dict[str, datetime] = {"start": period.start, "end": period.end}
    return {**edges, "customer": customer.pk if customer else None, "names": names}


def _rows(name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    return _run(compose(sections("reconciliation")[name]), parameters)


def _run(query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
