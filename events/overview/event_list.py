"""List events, latest arrivals first, in the ledger and then sealed. A page starts after an event, wherever it is."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from config.limits import MOST_FILTERED
from customers.models import Customer
from events.history.listing import SealedFilter, count_sealed, list_sealed
from events.history.lookup import find_event
from events.history.selection import EventSelection
from events.history.stores import is_on
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
    queries, whatever the page's size, and some more for sealed events. Raises TooManySealed.
    """
    backward = bool(before) and not after
    newest = is_oldest_first == backward
    cursor = after or before
    position = _position_of(cursor) if cursor else None
    with transaction.atomic() if is_on() else nullcontext():
        page = _read(filters, position, newest=newest, size=offset + size + 1)[offset:]
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


def _read(filters: EventFilters, position: int | None, *, newest: bool, size: int) -> list[Any]:
    """Read the next events from a position on, in the ledger or sealed.

    The ledger is read again after the parts: an event may have returned to it meanwhile. None can leave it for a part
    that is read.
    """
    rows = _filtered(filters).defer("properties").annotate(exact=Cast("properties", TextField()))
    if position is not None:
        rows = rows.filter(**{"pk__lt" if newest else "pk__gt": position})
    rows = rows.order_by("-pk" if newest else "pk")[:size]
    events = list(rows)
    wanted = sealed_filter(filters)
    if wanted is None:
        return events
    furthest = events[-1].pk if len(events) == size else None
    after, before = (furthest, position) if newest else (position, furthest)
    wanted = replace(wanted, selection=replace(wanted.selection, after=after, before=before))
    if not (sealed := list_sealed(wanted, newest=newest, size=size)):
        return events
    by_place = {event.pk: event for event in [*sealed, *rows.all()]}
    return [by_place[place] for place in sorted(by_place, reverse=newest)][:size]


def count_events(filters: EventFilters) -> int:
    """Count the events, up to 10,000, in the ledger and sealed."""
    with transaction.atomic() if is_on() else nullcontext():
        count = _filtered(filters).order_by()[:MOST_COUNTED].count()
        wanted = sealed_filter(filters)
        if wanted and count < MOST_COUNTED:
            count += count_sealed(wanted, most=MOST_COUNTED - count)
    return count


def sealed_filter(filters: EventFilters) -> SealedFilter | None:
    """Return how sealed events are filtered; None if none can match: all of them counted, and have no problems."""
    if not is_on() or filters.reason or filters.state not in (None, EventState.COUNTED):
        return None
    customers = None
    texts = {"source": filters.source, "external_customer_id": filters.external_customer_id}
    conditions = [f"{name} = %s" for name, text in texts.items() if text]
    parameters: list[Any] = [text for text in texts.values() if text]
    if external_id := filters.external_customer_id:
        matches = Q(external_id=external_id) | Q(aliases__alias=external_id)
        customers = list(Customer.objects.filter(matches).values_list("pk", flat=True))
    for name, values in filters.properties.items():
        conditions.append("properties ->> %s = ANY(%s)")
        parameters += [name, list(values)]
    selection = EventSelection(
        customers=customers,
        names=[filters.event_name] if filters.event_name else None,
        start=filters.start,
        end=filters.end,
        event_ids=[filters.event_id] if filters.event_id else None,
    )
    return SealedFilter(selection, conditions, parameters)


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
