"""Lists are paginated in constant time: cursors use the index, and large totals are estimated."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from config.api import pagination
from config.api.filters import Pages
from customers.models import Customer
from tests.factories import make_customer, make_plan, make_subscription
from tests.many_rows import make_many
from tests.owner import as_owner


def ids_of(page):
    return [one["external_id"] for one in page["items"]]


def test_cursors_skip_no_rows_while_rows_are_added(api):
    for number in range(5):
        make_customer(external_id=f"c-{number}")
    page = api.get("customers", limit=2)
    assert (ids_of(page), page["pagination"]["total"]) == (["c-4", "c-3"], 5)
    make_customer(external_id="newer")
    seen = []
    while cursor := page["pagination"].get("next_cursor"):
        page = api.get("customers", limit=2, cursor=cursor)
        seen.append(ids_of(page))
    assert seen == [["c-2", "c-1"], ["c-0"]]


def test_a_list_ordered_oldest_first_has_cursors_too(db):
    for number in range(3):
        make_customer(external_id=f"c-{number}")
    rows, seen = Customer.objects.order_by("pk"), []
    cursor: str | None = ""
    while cursor is not None:
        pages = Pages()
        found = pages.paginate_queryset(rows, Request(APIRequestFactory().get("/", {"limit": 2, "cursor": cursor})))
        seen.append([one.external_id for one in found])
        cursor = pages.next_cursor
    assert seen == [["c-0", "c-1"], ["c-2"]]


def test_searches_have_cursors_too(api):
    for number in range(3):
        make_customer(external_id=f"c-{number}")
    first = api.post("customers/search", {"limit": 2})
    rest = api.post("customers/search", {"limit": 2, "cursor": first["pagination"]["next_cursor"]})
    assert (ids_of(first), ids_of(rest)) == (["c-2", "c-1"], ["c-0"])
    assert rest["pagination"] == {"total": 3, "limit": 2, "offset": 0}


@pytest.mark.parametrize("path", ["customers", "subscriptions", "invoices", "features", "plans", "prices", "problems"])
def test_a_cursor_of_another_list_is_refused(api, path):
    make_subscription(plan=make_plan())
    make_customer()
    other = "plans" if path != "plans" else "customers"
    make_plan()
    cursor = api.get(other, limit=1)["pagination"]["next_cursor"]
    for wrong in (cursor, "x", "é", "Y3VzdG9tZXI6LTE"):
        assert "cursor" in api.get(path, cursor=wrong, status=400)["details"]


def test_a_sorted_list_is_paged_by_offset(api):
    make_subscription()
    make_subscription()
    asked = {"sort": [{"field": "start_date", "direction": "asc"}], "limit": 1}
    page = api.post("subscriptions/search", asked)
    assert "next_cursor" not in page["pagination"]
    cursor = api.get("subscriptions", limit=1)["pagination"]["next_cursor"]
    assert "offset" in api.post("subscriptions/search", asked | {"cursor": cursor}, 400)["details"]["cursor"][0]


def test_a_total_is_counted_up_to_a_limit_and_estimated_above(api, monkeypatch):
    for _ in range(6):
        make_customer()
    monkeypatch.setattr(pagination, "MOST_COUNTED", 6)
    assert "is_estimate" not in api.get("customers")["pagination"]
    monkeypatch.setattr(pagination, "MOST_COUNTED", 3)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE customers_customer")
    page = api.get("customers")["pagination"]
    assert (page["is_estimate"], page["total"] >= 4) == (True, True)


def plans_of(queries):
    """Return the plans that the reading statements of a request get, as text."""
    with connection.cursor() as cursor:
        for query in queries:
            if query["sql"].startswith("SELECT") and "LIMIT" in query["sql"]:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query['sql']}")
                yield query["sql"], json.dumps(cursor.fetchone()[0])


@pytest.mark.parametrize("path", ["customers", "subscriptions", "invoices"])
def test_a_page_in_the_middle_uses_the_index_and_as_many_queries_as_the_first(api, path):
    make_many(20_000, 20_000)
    api.get(path, limit=1)  # the key is remembered from now on
    with CaptureQueriesContext(connection) as first:
        page = api.get(path, limit=20)
    for _ in range(3):
        with CaptureQueriesContext(connection) as later:
            page = api.get(path, limit=20, cursor=page["pagination"]["next_cursor"])
    assert len(later) == len(first)
    assert page["pagination"]["is_estimate"] is True
    assert 15_000 < page["pagination"]["total"] < 25_000
    (found,) = [plan for sql, plan in plans_of(later) if '"id" <' in sql]
    assert "Index" in found
    assert "Seq Scan" not in found
    assert '"Sort"' not in found
