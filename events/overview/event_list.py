"""List the ledger, latest arrivals first. A page starts after an event, so every page costs the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from config.limits import MOST_FILTERED
from customers.models import Customer
from events.history.lookup import find_event
from events.models import Event, EventState, Problem, ProblemState
from events.overview.dashboard import first_id_received_since
from events.reasons import Reason

MOST_COUNTED = 10_000


class BadCursor(ValueError):
    """The cursor's event isn't in the ledger."""


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Filters for events, which must all match. Events occurred in [start, end); a property has one of the values."""

    external_customer_id: str = ""
    event_name: str = ""
    event_id: str = ""
    source: str = ""
    state: EventState | None = None
    reason: str = ""
    start: datetime | None = None
    end: datetime | None = None
    properties: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedEvents:
    """A page of events. `properties` are exact JSON texts, `reasons` those of open problems, both by ledger id."""

    events: Sequence[Event]
    properties: Mapping[int, str]
    reasons: Mapping[int, Sequence[Reason]]
    customers: Mapping[int, Customer]
    has_more: bool


def list_events(
    filters: EventFilters,
    *,
    size: int,
    after: str = "",
    before: str = "",
    offset: int = 0,
    is_oldest_first: bool = False,
) -> ListedEvents:
    """Return a page of processed events in the order of arrival. Raises BadCursor.

    The page starts after the event of the cursor `after`, or ends before the event of the cursor `before`. Four
    queries, whatever the page's size.
    """
    rows = _filtered(filters).defer("properties").annotate(exact=Cast("properties", TextField()))
    backward = bool(before) and not after
    newest_first = is_oldest_first == backward
    if cursor := after or before:
        rows = rows.filter(**{"pk__lt" if newest_first else "pk__gt": _position_of(cursor)})
    page: list[Any] = list(rows.order_by("-pk" if newest_first else "pk")[offset : offset + size + 1])
    has_more, page = len(page) > size, page[:size]
    if backward:
        page.reverse()
    return ListedEvents(
        page,
        {event.pk: event.exact for event in page},
        _reasons(page),
        Customer.objects.in_bulk({event.customer_id for event in page if event.customer_id}),
        has_more,
    )


def count_events(filters: EventFilters) -> int:
    """Count the events, up to 10,000."""
    return _filtered(filters).order_by()[:MOST_COUNTED].count()


def cursor_of(event: Event) -> str:
    """Write an event's position: its time in nanoseconds and its id, by which it is found again."""
    return f"{int(event.occurred_at.timestamp()) * 10**9 + event.occurred_at.microsecond * 1000}::{event.event_id}"


def _position_of(cursor: str) -> int:
    event_id = cursor.partition("::")[2]
    event = find_event(event_id) if event_id else None
    if event is None:
        raise BadCursor(cursor)
    position: int = event.pk
    return position


def _filtered(filters: EventFilters) -> QuerySet[Event]:
    rows = Event.objects.all()
    exact = {name: value for name in ("event_name", "event_id", "source") if (value := getattr(filters, name))}
    if filters.state is not None:
        exact["state"] = filters.state
    rows = rows.filter(**exact)
    if filters.external_customer_id:
        rows = rows.filter(_sent_for(filters.external_customer_id))
    if filters.reason:
        problems = Problem.objects.filter(reason=filters.reason, state=ProblemState.OPEN)
        rows = rows.filter(pk__in=problems.values("event_id"))
    if filters.start:
        # Events can't arrive long before they occur, so this bounds the scan, which is in the order of arrival.
        earliest = filters.start - timedelta(days=settings.EVENT_LATEST_DAYS_AHEAD)
        rows = rows.filter(occurred_at__gte=filters.start, pk__gte=first_id_received_since(earliest))
    if filters.end:
        rows = rows.filter(occurred_at__lt=filters.end)
    for number, (name, values) in enumerate(filters.properties.items()):
        alias = f"property_{number}"
        rows = rows.alias(**{alias: KeyTextTransform(name, "properties")}).filter(**{f"{alias}__in": list(values)})
    return rows


def _sent_for(external_id: str) -> Q:
    """Match a customer's events, using the index if the customer exists.

    Events from before the customer existed have no customer until they are replayed.
    """
    sent = Q(external_customer_id=external_id)
    customer = Customer.objects.filter(external_id=external_id).values_list("pk", flat=True).first()
    if customer is None:
        return sent
    unknown = Problem.objects.filter(external_customer_id=external_id, reason=Reason.UNKNOWN_CUSTOMER)
    if unknown.exclude(state=ProblemState.RESOLVED).exists():
        return sent & (Q(customer=customer) | Q(customer=None))
    return sent & Q(customer=customer)


def _reasons(page: Sequence[Event]) -> dict[int, list[Reason]]:
    reasons: dict[int, list[Reason]] = {}
    rows = Problem.objects.filter(event__in=page, state=ProblemState.OPEN).order_by("pk").values_list("event", "reason")
    for event_id, reason in rows:
        reasons.setdefault(int(event_id), []).append(Reason(reason))
    return reasons


def parse_property_filters(text: str) -> dict[str, list[str]]:
    """Read `model:small,large;region:eu`, or the same as JSON. Raises ValueError, also for too many properties."""
    filters: dict[str, list[str]] = {}
    if text.lstrip().startswith("{"):
        filters = {str(name): [str(value) for value in values] for name, values in json.loads(text).items()}
    elif text:
        filters = _parse_pairs(text)
    if len(filters) > MOST_FILTERED:
        raise ValueError(text)
    return filters


def _parse_pairs(text: str) -> dict[str, list[str]]:
    filters = {}
    for part in text.split(";"):
        name, colon, values = part.partition(":")
        if not (name and colon):
            raise ValueError(part)
        filters[name] = values.split(",")
    return filters
