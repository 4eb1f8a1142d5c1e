"""The lists of events go on into the sealed past: the same pages in the same order, wherever the events are."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.urls import reverse

from customers.models import CustomerAlias
from events.history import listing
from events.history.lookup import find_event
from events.history.reading import TooManySealed
from events.ledger.voiding import void_event
from events.models import Event, EventState, SealedPart
from events.overview.event_list import EventFilters, count_events, cursor_of, list_events
from tests.events.history.sealing import seal_all
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
FILTERS = [
    EventFilters(),
    EventFilters(external_customer_id="acme"),
    EventFilters(external_customer_id="alias"),
    EventFilters(external_customer_id="unknown"),
    EventFilters(event_name="tokens.used"),
    EventFilters(event_id="event 5"),
    EventFilters(event_id="event 999"),
    EventFilters(source="app"),
    EventFilters(state=EventState.COUNTED),
    EventFilters(state=EventState.VOIDED),
    EventFilters(reason="filter_mismatch"),
    EventFilters(start=NOON - 3 * DAY, end=NOON - DAY),
    EventFilters(external_customer_id="acme", event_name="api.calls", properties={"n": ["1", "4"], "region": ["eu"]}),
]


@pytest.fixture
def sealed_and_not(history, settings):
    """Twenty events in several parts, some of which are late, void, or have a problem."""
    settings.SEAL_ROWS = 5
    acme = make_customer(external_id="acme")
    make_customer(external_id="globex")
    CustomerAlias.objects.create(customer=acme, alias="alias")
    make_feature(filters={"region": ["eu"]})
    make_feature(name="Tokens", event_name="tokens.used")
    for number in range(20):
        at = NOON - (number % 5) * DAY
        send(
            "tokens.used" if number % 3 == 0 else "api.calls",
            customer=("acme", "globex", "alias", "acme")[number % 4],
            event_id=f"event {number}",
            at=at,
            received_at=NOON,
            source="app" if number % 2 else "",
            region="us" if number == 7 else "eu",
            n=number % 6,
        )
    process()
    void_event(Event.objects.get(event_id="event 9"), reason="Wrong", now=NOON)


def read_pages(filters: EventFilters, *, is_oldest_first: bool) -> list[list[str]]:
    """Read all pages of six events, there and back."""
    pages, after = [], ""
    while True:
        page = list_events(filters, size=6, after=after, is_oldest_first=is_oldest_first)
        pages.append(page.events)
        if not page.has_more:
            break
        after = cursor_of(page.events[-1])
    for earlier, later in pairwise(pages):
        back = list_events(filters, size=6, before=cursor_of(later[0]), is_oldest_first=is_oldest_first)
        assert [event.pk for event in back.events] == [event.pk for event in earlier]
    return [[event.event_id for event in page] for page in pages]


def read_all() -> list[Any]:
    return [
        [
            count_events(filters),
            read_pages(filters, is_oldest_first=False),
            read_pages(filters, is_oldest_first=True),
            [event.event_id for event in list_events(filters, size=4, offset=2).events],
        ]
        for filters in FILTERS
    ]


def test_pages_are_the_same_before_and_after_sealing(sealed_and_not):
    before = read_all()
    assert [count for count, *_ in before] == [20, 10, 5, 0, 7, 1, 0, 10, 18, 1, 1, 8, 3]
    seal_all()
    assert sorted(Event.objects.values_list("event_id", flat=True)) == ["event 7", "event 9"]
    assert SealedPart.objects.filter(rows__gt=0).count() == 7
    assert read_all() == before
    void_event(find_event("event 12"), reason="Wrong", now=NOON)
    assert [count for count, *_ in read_all()][8:10] == [17, 2]


def test_a_search_that_would_read_too_much_is_refused(sealed_and_not, monkeypatch, api, staff_client):
    seal_all()
    monkeypatch.setattr(listing, "MOST_SEARCHED", 6)
    nothing = EventFilters(source="nothing")
    with pytest.raises(TooManySealed, match="shorter time range"):
        list_events(nothing, size=3)
    assert list_events(EventFilters(source="nothing", event_id="event 5"), size=3).events == []
    assert "shorter time range" in str(api.get("events", status=400, source="nothing"))


def test_the_api_and_staff_search_the_past(sealed_and_not, api, staff_client):
    seal_all()
    found = api.post("events/query", {"external_customer_id": "acme", "page_size": 2, "count_total": True})
    assert ([event["id"] for event in found["events"]], found["total_count"]) == (["event 19", "event 16"], 10)
    url = reverse("admin:events_search")
    page = staff_client.get(url, {"search": "1", "customer": "alias", "start": "2026-03-06T00:00"})
    assert page.context_data["rows"][0]["event"].event_id == "event 18"
    text = page.content.decode()
    assert text.count("/admin/events/event/") >= 5
    assert "Also searches sealed events" in text
    assert "Enter a time in “From”." in staff_client.get(url, {"search": "1", "start": "soon"}).content.decode()
    assert "No events found" in staff_client.get(url, {"search": "1", "customer": "unheard-of"}).content.decode()
    assert reverse("admin:events_search") in staff_client.get("/admin/events/event/").content.decode()
