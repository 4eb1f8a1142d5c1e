"""The first page of a customer's events, problems or duplicates costs the same however many there are."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events.models import DuplicateEvent, Event, Problem
from events.overview.event_list import EventFilters, list_events
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature
from tests.many_rows import copy_row, count_rows_read

pytestmark = pytest.mark.django_db
MANY = 20_000


@pytest.fixture
def busy(db):
    """A customer with many events, all of which came before those of another customer."""
    customers = [make_customer(external_id=name) for name in ("acme", "globex")]
    make_feature()
    for customer in customers:
        send(customer=customer.external_id)
    process()
    for number, event in enumerate(Event.objects.order_by("pk")):
        copy_row(event, MANY, id=f"{number + 1}000000 + n", event_id=f"'{number}-' || n")
    return customers


def rows_read(queries, table):
    selects = [query["sql"] for query in queries if f'FROM "{table}"' in query["sql"]]
    return sum(count_rows_read(sql, table) for sql in selects)


@pytest.mark.hot
def test_the_api_reads_one_page_of_a_customers_events(busy):
    with CaptureQueriesContext(connection) as queries:
        assert len(list_events(EventFilters(external_customer_id="acme"), size=50).events) == 50
    assert rows_read(queries, "events_event") <= 60


@pytest.mark.hot
def test_the_list_of_events_reads_one_page_of_a_customers_events(busy, staff_client):
    url = reverse("admin:events_event_changelist")
    with CaptureQueriesContext(connection) as queries:
        page = staff_client.get(url, {"customer__id__exact": busy[0].pk}).context_data["cl"]
    assert page.result_count == page.list_per_page
    assert rows_read(queries, "events_event") <= 250


def test_events_from_before_the_customer_existed_stay_in_its_list(db):
    make_feature()
    send(customer="late", event_id="early bird")
    process()
    make_customer(external_id="late")
    listed = list_events(EventFilters(external_customer_id="late"), size=10).events
    assert [event.event_id for event in listed] == ["early bird"]


def test_the_lists_of_problems_and_duplicates_read_one_page_of_a_customers_rows(db, staff_client):
    make_feature()
    for customer in ("acme", "globex"):
        send(customer=customer, event_id=f"of {customer}")
        send(customer=customer, event_id=f"of {customer}")
    process()
    for number, problem in enumerate(Problem.objects.order_by("pk").select_related("event"), start=1):
        copy_row(problem.event, MANY, id=f"{number}000000 + n", event_id=f"'{number}-' || n")
        copy_row(problem, MANY, event_id=f"{number}000000 + n")
    for repeat in DuplicateEvent.objects.order_by("pk"):
        copy_row(repeat, MANY, body_hash="n")
    for name in ("problem", "duplicateevent"):
        with CaptureQueriesContext(connection) as queries:
            url = reverse(f"admin:events_{name}_changelist")
            page = staff_client.get(url, {"external_customer_id": "acme"}).context_data["cl"]
        assert page.result_count == page.list_per_page
        assert rows_read(queries, f"events_{name}") <= 250
