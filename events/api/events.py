"""API views for stored events: list, diagnose one, monitor, and void."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.errors import invalid
from config.api.openapi import operation
from config.api.views import ApiView, read_body, read_query
from config.db.text import is_text
from config.limits import MOST_FILTERED
from events.api import tracker
from events.api.ingest import EventIngest
from events.api.serializers.diagnosis import Lookup, LookupQuery, OwnerQuery
from events.api.serializers.events import (
    STATES,
    EventListQuery,
    EventPage,
    EventQuery,
    ListedEvent,
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
TEXT_FILTERS = ("external_customer_id", "event_name", "event_id", "source", "reason")
NO_EVENT = "There is no such event. IDs are case-sensitive. The request that sent the event may have been refused."
QUERY = {"event_name": "tokens.used", "external_customer_id": "acme", "page_size": 50}


def listed_events(query: dict[str, Any]) -> HttpResponse:
    """Answer with a page of processed events."""
    filters = EventFilters(
        **{name: query.get(name) or "" for name in TEXT_FILTERS},
        state=STATES.get(query.get("state") or ""),
        start=query.get("start_time"),
        end=query.get("end_time"),
        properties=query.get("property_filters") or {},
    )
    after, before = query.get("iter_last_key") or "", query.get("iter_first_key") or ""
    size, offset = query["page_size"], query["offset"]
    try:
        page = list_events(
            filters, size=size, after=after, before=before, offset=offset, is_oldest_first=query["order"] == "asc"
        )
    except BadCursor as error:
        name = "iter_last_key" if after else "iter_first_key"
        raise invalid({name: ["Invalid cursor. Send iter_first_key or iter_last_key of a previous answer."]}) from error
    events = [_event(page, event) for event in page.events]
    return exact_json(
        {
            "events": events,
            "has_more": page.has_more,
            "iter_first_key": cursor_of(page.events[0]) if events else None,
            "iter_last_key": cursor_of(page.events[-1]) if events else None,
            "offset": offset + len(events),
            "total_count": count_events(filters) if query["count_total"] else None,
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
        **dict.fromkeys(ListedEvent.nulls),
    }


def exact_json(body: Any) -> HttpResponse:
    """Answer JSON in which Decimals are numbers, with exactly their digits."""
    content = orjson.dumps(body, default=_number, option=orjson.OPT_UTC_Z)
    return HttpResponse(content, content_type="application/json")


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}" if abs(value.adjusted()) < 400 else str(value))
    raise TypeError(type(value))


class Events(EventIngest):
    """Send an event, or list processed events."""

    @operation(
        "listEvents",
        "List events",
        refusals="`property_filters` have the form `model:small,large;region:eu`. `iter_first_key` and "
        "`iter_last_key` must be those of a previous answer.",
        tag=TAG,
        answers={200: EventPage},
        parameters=[EventListQuery],
        description="Processed events, most recently received first. An accepted event appears within about a second.",
    )
    def get(self, request: Request) -> HttpResponse:
        body = read_query(request, EventListQuery)
        try:
            body["property_filters"] = parse_property_filters(body.get("property_filters") or "")
        except (ValueError, AttributeError, TypeError) as error:
            reason = f"Use the format model:small,large;region:eu, with at most {MOST_FILTERED} properties."
            raise invalid({"property_filters": [reason]}) from error
        return listed_events(body)


class EventSearch(ApiView):
    """Search events."""

    is_reading = True

    @operation(
        "queryEvents",
        "Search events",
        refusals="The values of `property_filters` can't be blank. `iter_first_key` and `iter_last_key` must be "
        "those of a previous answer.",
        tag=TAG,
        body=EventQuery,
        answers={200: EventPage},
        example=QUERY,
        description="Processed events, most recently received first. Send `iter_last_key` to get the next page.",
    )
    def post(self, request: Request) -> HttpResponse:
        return listed_events(read_body(request, EventQuery))


class EventLookup(ApiView):
    """Retrieve one event by its id, which can contain any characters, with its diagnosis."""

    @operation(
        "getEvent",
        "Retrieve an event with its diagnosis",
        tag=TAG,
        answers={200: Lookup},
        errors=(400, 404),
        parameters=[LookupQuery],
    )
    def get(self, request: Request) -> HttpResponse:
        return looked_up(request, LookupQuery)


class OneEvent(ApiView):
    """Retrieve one event by its id, with its diagnosis. For ids with `?` or `#`, use `GET /v1/events/lookup`."""

    @operation(
        "getEventById",
        "Retrieve an event by its id",
        tag=TAG,
        answers={200: Lookup},
        errors=(400, 404),
        parameters=[OwnerQuery],
    )
    def get(self, request: Request, event_id: str) -> HttpResponse:
        return looked_up(request, OwnerQuery, event_id=event_id)


def looked_up(request: Request, reader: type[OwnerQuery], **path: str) -> HttpResponse:
    """Answer with an event and its diagnosis. 404 if there is none with the id, of that customer and time."""
    if not all(is_text(str(value)) for value in (*request.query_params.values(), *path.values())):
        raise NotFound(NO_EVENT)
    query = read_query(request, reader)
    period = (query.get("start_time"), query.get("end_time"))
    owner = query.get("external_customer_id") or ""
    answer = tracker.lookup(
        path.get("event_id") or query["id"], now=timezone.now(), external_customer_id=owner, period=period
    )
    if answer is None:
        raise NotFound(NO_EVENT)
    return exact_json(answer)


class EventMonitoring(ApiView):
    """Retrieve the number of events of the last 24 hours by outcome, and of waiting events."""

    @operation("getEventsMonitoring", "Monitor events", tag=TAG, answers={200: Monitoring})
    def get(self, request: Request) -> Response:
        now = timezone.now()
        waiting, last_day = dashboard.waiting(now=now), dashboard.ended(since=now - timedelta(hours=24))
        points = [
            {"timestamp": hour.start}
            | {name: getattr(hour.ended, name) for name in ("events", "counted", "partly", "problems", "duplicates")}
            for hour in dashboard.volume(now=now, hours=24)
        ]
        body = {
            "total_count": last_day.events,
            "consumption_lag": waiting.count,
            "post_processing_lag": waiting.oldest_s,
            "points": points,
        }
        return Response(Monitoring(body).data)


class EventVoiding(ApiView):
    """Void events: they are no longer counted, and stay on record with the reason."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "voidEvents",
        "Void events",
        tag=TAG,
        body=VoidBody,
        answers={200: VoidAnswer},
        example={"event_ids": ["req_8f14e45f"], "reason": "Sent by the load test"},
        description="At most 500 events per request. Finalized invoices don't change; the next invoice credits the "
        "difference.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, VoidBody)
        result = void_events(body["event_ids"], reason=body["reason"], now=timezone.now())
        return Response(VoidAnswer(result).data)
