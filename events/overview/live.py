"""The live view of the debugger: the latest events, duplicates and refused requests, in a few bounded queries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.text import Truncator

from events.links import event_url
from events.models import DuplicateEvent, Event, EventState, Problem, ProblemState, RefusedRequest
from events.models.duplicates import DuplicateKind
from events.overview.dashboard import waiting_events
from events.reasons import EXPLANATIONS, Reason

MOST_ROWS = 60
MOST_REPEATS = 20
MOST_WAITING = 1_000
SCANNED = 200_000  # filters only search this many of the latest events

LEVELS = {
    EventState.COUNTED: "pass",
    EventState.PARTLY: "warning",
    EventState.PROBLEM: "fail",
    EventState.VOIDED: "info",
    EventState.DISMISSED: "info",
}
SHOWN = {
    "": tuple(EventState),
    "problems": (EventState.PROBLEM, EventState.PARTLY),
    "counted": (EventState.COUNTED,),
    "closed": (EventState.VOIDED, EventState.DISMISSED),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the live view. `state` is a key of SHOWN."""

    event_name: str = ""
    customer: str = ""
    state: str = ""
    source: str = ""

    @property
    def are_set(self) -> bool:
        return bool(self.event_name or self.customer or self.state or self.source)


def feed(filters: Filters) -> dict[str, Any]:
    """Return the live view as JSON values: events with duplicates, latest first, and refused requests."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first()
    events = _events(filters, newest or 0)
    rows = events if filters.state in ("counted", "closed") else events + _repeats(filters)
    rows.sort(key=lambda row: str(row["at"]), reverse=True)
    waiting = waiting_events(MOST_WAITING)
    return {
        "events": rows[:MOST_ROWS],
        "refused": _refused(),
        "waiting": f"{MOST_WAITING:,}+" if waiting >= MOST_WAITING else str(waiting),
        "cursor": newest or 0,
        "is_filtered": filters.are_set,
    }


def _events(filters: Filters, newest: int) -> list[dict[str, Any]]:
    events = Event.objects.filter(pk__gt=newest - SCANNED, state__in=SHOWN.get(filters.state, SHOWN[""]))
    columns = ("pk", "event_id", "event_name", "external_customer_id", "state", "received_at", "processed_at", "source")
    rows = list(events.filter(_condition(filters)).order_by("-pk").values_list(*columns)[:MOST_ROWS])
    reasons = _reasons([row[0] for row in rows if row[4] in SHOWN["problems"]])
    return [_event_row(*row, reasons=reasons.get(row[0], [])) for row in rows]


def _condition(filters: Filters) -> Q:
    columns = {"event_name": filters.event_name, "external_customer_id": filters.customer, "source": filters.source}
    return Q(**{name: value for name, value in columns.items() if value})


def _reasons(ids: list[int]) -> dict[int, list[str]]:
    reasons: dict[int, list[str]] = {}
    rows = Problem.objects.filter(event_id__in=ids, state=ProblemState.OPEN).values_list("event_id", "reason")
    for event_id, reason in rows.order_by("pk"):
        label = str(Reason(reason).label)
        if label not in reasons.setdefault(event_id, []):
            reasons[event_id].append(label)
    return reasons


def _event_row(
    pk: int,
    event_id: str,
    name: str,
    customer: str,
    state: int,
    received_at: datetime,
    processed_at: datetime,
    source: str,
    *,
    reasons: list[str],
) -> dict[str, Any]:
    return {
        "key": f"e{pk}-{state}",
        "level": LEVELS[EventState(state)],
        "state": str(EventState(state).label),
        "at": received_at.isoformat(),
        "delay": _delay((processed_at - received_at).total_seconds()),
        "event_id": event_id,
        "url": event_url(event_id),
        "name": Truncator(name).chars(60),
        "customer": Truncator(customer).chars(60),
        "source": Truncator(source).chars(40),
        "reasons": reasons,
    }


def _delay(seconds: float) -> str:
    """Write how long an event was waiting: 0.4 s, 12 min, 3 h, 31 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.1f} s"


def _repeats(filters: Filters) -> list[dict[str, Any]]:
    """Return the latest duplicates, with a query per kind, which uses the index."""
    repeats: list[dict[str, Any]] = []
    for kind in DuplicateKind:
        rows = DuplicateEvent.objects.filter(_condition(filters), kind=kind).defer("body")
        repeats += [_repeat_row(row) for row in rows.order_by("-last_at", "-pk")[:MOST_REPEATS]]
    return repeats


def _repeat_row(row: DuplicateEvent) -> dict[str, Any]:
    reason = Reason.DUPLICATE_CONFLICT if row.kind == DuplicateKind.CONFLICT else Reason.DUPLICATE_SAME_BODY
    return {
        "key": f"d{row.pk}-{row.count}",
        "level": "warning",
        "state": "Duplicate",
        "at": row.last_at.isoformat(),
        "delay": "",
        "event_id": row.event_id,
        "url": event_url(row.event_id),
        "name": Truncator(row.event_name).chars(60),
        "customer": Truncator(row.external_customer_id).chars(60),
        "source": Truncator(row.source).chars(40),
        "reasons": [f"{reason.label} ({row.count:,}×)"],
    }


def _refused() -> list[dict[str, Any]]:
    rows = RefusedRequest.objects.order_by("-last_at", "-pk")[:MOST_REPEATS]
    return [
        {
            "key": f"r{row.pk}-{row.count}",
            "status": row.status,
            "reason": str(Reason(row.reason).label),
            "fix": EXPLANATIONS[Reason(row.reason)].fix,
            "at": row.last_at.isoformat(),
            "key_prefix": f"{row.key_prefix}…" if row.key_prefix else "no valid key",
            "path": row.path,
            "field": row.field,
            "message": row.message,
            "count": row.count,
        }
        for row in rows
    ]
