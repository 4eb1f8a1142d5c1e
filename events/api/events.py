"""The doors that read the ledger: lists, one event with its diagnosis, what goes on, and taking events back."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.openapi import operation
from config.api.views import ApiView, invalid, read_body, read_query
from config.db.text import is_text
from events.api import tracker
from events.api.ingest import EventIngest
from events.api.serializers import (
    STATES,
    EventListQuery,
    EventPage,
    EventQuery,
    Lookup,
    Monitoring,
    VoidAnswer,
    VoidBody,
)
from events.ledger.voiding import void_events
from events.models import Scope
from events.overview import dashboard
from events.overview.event_list import (
    BadCursor,
    EventFilters,
    ListedEvents,
    count_events,
    cursor_of,
    list_events,
    parse_property_filters,
)

TAG = "Events"
NAMES = {state: name for name, state in STATES.items()}
WANTED = ("external_customer_id", "event_name", "event_id", "source", "reason")
LOOKUP = [
    OpenApiParameter("id", str, required=True, description="The event's id, as it was sent."),
    OpenApiParameter("external_customer_id", str, description="Only if it was sent for this customer."),
]
QUERY = {"event_name": "tokens.used", "external_customer_id": "acme", "page_size": 50}


def listed_events(asked: dict[str, Any]) -> HttpResponse:
    """Answer a page of the ledger."""
    wanted = EventFilters(
        **{name: asked.get(name) or "" for name in WANTED},
        state=STATES.get(asked.get("state") or ""),
        start=asked.get("start_time"),
        end=asked.get("end_time"),
        properties=asked.get("property_filters") or {},
    )
    after, before, size, offset = (
        asked.get("iter_last_key") or "",
        asked.get("iter_first_key") or "",
        asked["page_size"],
        asked["offset"],
    )
    try:
        page = list_events(
            wanted, size=size, after=after, before=before, offset=offset, is_oldest_first=asked["order"] == "asc"
        )
    except BadCursor as error:
        name = "iter_last_key" if after else "iter_first_key"
        raise invalid({name: ["This cursor names no event."]}) from error
    events = [_event(page, event) for event in page.events]
    return exact_json(
        {
            "events": events,
            "has_more": page.has_more,
            "iter_first_key": cursor_of(page.events[0]) if events else None,
            "iter_last_key": cursor_of(page.events[-1]) if events else None,
            "offset": offset + len(events),
            "total_count": count_events(wanted) if asked["count_total"] else None,
        }
    )


def _event(page: ListedEvents, event: Any) -> dict[str, Any]:
    customer = page.customers.get(event.customer_id)
    return {
        "id": event.event_id,
        "event_name": event.event_name,
        "external_customer_id": event.external_customer_id,
        "customer_id": customer.public_id if customer else None,
        "timestamp": event.occurred_at,
        "source": event.source,
        "properties": orjson.Fragment(page.properties[event.pk]),
        "ingested_at": event.received_at,
        "state": NAMES[event.state],
        "reasons": page.reasons.get(event.pk, []),
    }


def exact_json(body: Any) -> HttpResponse:
    """Answer JSON in which a Decimal is a number, digit by digit, as it was sent."""
    content = orjson.dumps(body, default=_number, option=orjson.OPT_UTC_Z)
    return HttpResponse(content, content_type="application/json")


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}" if abs(value.adjusted()) < 400 else str(value))
    raise TypeError(type(value))


class Events(EventIngest):
    """Events at one address: send one, or list what was processed."""

    @operation(
        "listEvents", "List events", tag=TAG, answers={200: EventPage}, parameters=[EventListQuery],
        description="Processed events, newest arrivals first. One that was accepted shows here within a second or so.",
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        asked = read_query(request, EventListQuery)
        try:
            asked["property_filters"] = parse_property_filters(asked.get("property_filters") or "")
        except (ValueError, AttributeError, TypeError) as error:
            raise invalid({"property_filters": ["Write them as model:small,large;region:eu."]}) from error
        return listed_events(asked)


class EventSearch(ApiView):
    """List events by a body. Only reads."""

    is_reading = True

    @operation(
        "queryEvents", "Query events", tag=TAG, body=EventQuery, answers={200: EventPage}, example=QUERY,
        description="Processed events, newest arrivals first. Pass `iter_last_key` on for the next page.",
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        return listed_events(read_body(request, EventQuery))


class EventLookup(ApiView):
    """Diagnose one event by its id, which may hold any sign."""

    @operation(
        "getEvent", "Look an event up, with its diagnosis", tag=TAG, answers={200: Lookup}, errors=(400, 404),
        parameters=LOOKUP,
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        event_id = request.query_params.get("id", "").strip()
        if not event_id:
            raise invalid({"id": ["This field is required."]})
        owner = request.query_params.get("external_customer_id", "").strip()
        readable = is_text(event_id) and is_text(owner)
        answer = tracker.lookup(event_id, now=timezone.now(), external_customer_id=owner) if readable else None
        if answer is None:
            raise NotFound("There is no such event. Its request may have been refused: ids are compared exactly.")
        return exact_json(answer)


class EventMonitoring(ApiView):
    """Tell what became of the last day's events, and what waits."""

    @operation("getEventsMonitoring", "Watch the flow of events", tag=TAG, answers={200: Monitoring})
    def get(self, request: Request) -> Response:
        now = timezone.now()
        waiting, whole = dashboard.waiting(now=now), dashboard.ended(since=now - timedelta(hours=24))
        points = [
            {"timestamp": hour.start}
            | {name: getattr(hour.ended, name) for name in ("events", "counted", "partly", "problems", "duplicates")}
            for hour in dashboard.volume(now=now, hours=24)
        ]
        found = {
            "total_count": whole.events,
            "consumption_lag": waiting.count,
            "post_processing_lag": waiting.oldest_s,
            "points": points,
        }
        return Response(Monitoring(found).data)


class EventVoiding(ApiView):
    """Take events back: they count no more, and stay on record with the reason."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "voidEvents", "Take events back", tag=TAG, body=VoidBody, answers={200: VoidAnswer},
        example={"event_ids": ["req_8f14e45f"], "reason": "Sent by the load test"},
        description="At most 500 at once. A finalized invoice stays as it is; the next one gives the difference back.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, VoidBody)
        done = void_events(asked["event_ids"], reason=asked["reason"], now=timezone.now())
        found = {"voided": done.voided, "already_voided": done.before, "final": done.final, "unknown": done.unknown}
        return Response(VoidAnswer(found).data)
