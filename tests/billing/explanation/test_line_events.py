"""The events of a usage line are exactly those that it counts."""

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.admin.pages import line_events as line_events_page
from billing.explanation import line_events
from billing.explanation.line_events import build_event_table, list_events, list_windows
from billing.explanation.page import build_events_url
from billing.explanation.proof import NotUsage
from billing.models import InvoiceLine
from customers.models import Customer
from events.models import Event
from tests.admin_pages import as_viewer
from tests.billing.world import D, bill, utc
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version
from tests.many_rows import copy_row, count_rows_read
from tests.owner import as_owner

pytestmark = pytest.mark.django_db
START, END = utc(2026, 9, 1), utc(2026, 10, 1)
TICK = timedelta(microseconds=1)


def billed(*features, fees=()):
    """Sell features for a cent per unit to acme from 1 September, with the events already counted; bill them."""
    plan = make_version(*fees, *({"feature": feature, "unit_amount": D("0.01")} for feature in features))
    customer = Customer.objects.get(external_id="acme")
    make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
    process()
    return next(invoice for invoice in bill(END) if invoice.kind == "cycle")


@pytest.fixture
def acme(db):
    return make_customer(external_id="acme", name="Acme", timezone="Europe/Berlin")


def list_ids(line, **options):
    return [event.event_id for event in list_events(line, **{"most": 100} | options)]


def rows(answer):
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_exactly_the_events_in_the_lines_window_are_listed_in_order(acme):
    calls = make_feature()
    for name, at in [("before", START - TICK), ("first", START), ("last", END - TICK), ("after", END)]:
        send(at=at, event_id=name)
    send(at=START, event_id="second")
    send(customer="other", at=START, event_id="of somebody else")
    send("api.other", at=START, event_id="of another name")
    line = billed(calls).lines.get(kind="usage")
    assert list_ids(line) == ["first", "second", "last"]
    assert len(list_ids(line)) == line.events_count
    assert list_ids(line, most=2) == ["first", "second"]


def test_a_page_starts_after_the_last_event_of_the_page_before(acme):
    calls = make_feature()
    for number in range(7):
        send(at=START + timedelta(hours=number // 3), event_id=f"call-{number}")  # three share a moment
    line = billed(calls).lines.get(kind="usage")
    event_ids, after = [], None
    while page := list(list_events(line, most=2, after=after)):
        event_ids += [event.event_id for event in page]
        after = (page[-1].occurred_at, page[-1].id)
    assert event_ids == [f"call-{number}" for number in range(7)]


def test_a_sum_lists_the_amount_that_each_event_adds(acme, staff_client):
    tokens = make_feature(field="n", aggregation="sum_with_multiplier", multiplier=D("0.5"))
    send(at=START + timedelta(hours=1), event_id="=evil()", n=3)
    send(at=START + timedelta(hours=2), event_id="b", n=D("1.25"))
    send(at=START + timedelta(hours=3), event_id="no number", n="x")
    line = billed(tokens).lines.get(kind="usage")
    answer = staff_client.get(reverse("admin:billing_line_events", args=[line.pk]))
    heading, *events = rows(answer)
    assert heading == [
        "event_id", "event_name", "occurred_at (Europe/Berlin)", "received_at (Europe/Berlin)", "value", "adds",
    ]  # fmt: skip
    assert [(row[0], row[2], row[4], D(row[5])) for row in events] == [
        ("'=evil()", "2026-09-01 03:00:00", "3", D("1.5")),  # 01:00 UTC is 03:00 in Berlin
        ("b", "2026-09-01 04:00:00", "1.25", D("0.625")),
    ]
    assert sum(D(row[5]) for row in events) == line.quantity


def test_a_unique_count_lists_its_distinct_values(acme):
    users = make_feature(aggregation="unique_count", field="user")
    for number, user in enumerate(["ada", "bob", "ada", 7]):
        send(at=START + timedelta(hours=number), event_id=f"seen-{number}", user=user)
    line = billed(users).lines.get(kind="usage")
    headings, table = build_event_table(line)
    assert headings[0] == "value"
    values = list(table)
    assert [(row[0], row[1], row[2]) for row in values] == [("ada", 1, 2), ("bob", 1, 1), ("7", 1, 1)]
    assert len(values) == line.quantity


def test_a_cumulative_line_lists_all_events_since_the_start(acme):
    seats = make_feature(field="n", reset="cumulative")
    send(at=utc(2025, 1, 1), event_id="old", n=5)
    send(at=START, event_id="new", n=2)
    line = billed(seats).lines.get(kind="usage")
    assert line.quantity == 7
    assert list_ids(line) == ["old", "new"]


def test_late_usage_lists_all_events_of_its_period(acme):
    calls = make_feature()
    send(at=START, event_id="in time")
    invoice = billed(calls)
    first = invoice.lines.get(kind="usage")
    send(at=END - TICK, event_id="late")
    process()
    late = InvoiceLine(
        invoice=invoice, kind="late_usage", feature=calls, adjusts=first, events_count=1, events_checksum=0,
        computation={"again": [{"computation": first.computation}]},
    )  # fmt: skip
    assert list_ids(late) == ["in time", "late"]


def test_a_line_lists_only_the_events_of_its_features_filter(acme, staff_client):
    big = make_feature(name="Big calls", filters={"model": ["big"]})
    small = make_feature(name="Small calls", filters={"model": ["small"]})
    for number, model in enumerate(["big", "small", "big", "other"]):
        send(at=START + timedelta(hours=number), event_id=f"{model}-{number}", model=model)
    invoice = billed(big, small)
    url = build_events_url(invoice.lines.get(kind="usage", feature=big))
    listed = [row["event"].event_id for row in staff_client.get(url).context_data["rows"]]
    assert listed == ["big-0", "big-2"]
    events = reverse("admin:events_event_changelist")
    of_query_tool = staff_client.get(events, {"counts_for": small.pk, "received": "all"}).context_data["cl"].result_list
    assert [event.event_id for event in of_query_tool] == ["small-1"]


def test_the_page_of_a_lines_events_marks_those_counted_later_and_leads_to_the_next_page(
    acme, staff_client, monkeypatch
):
    monkeypatch.setattr(line_events_page, "PAGE_SIZE", 2)
    for number in range(3):
        send(at=START + timedelta(hours=number), event_id=f"call-{number}")
    line = billed(make_feature()).lines.get(kind="usage")
    with as_owner():
        Event.objects.filter(event_id="call-0").update(received_at=line.invoice.computed_at + TICK)
    url = reverse("admin:billing_line_event_list", args=[line.pk])
    first = staff_client.get(url).context_data
    assert [(row["event"].event_id, row["is_late"]) for row in first["rows"]] == [("call-0", True), ("call-1", False)]
    second = staff_client.get(url + first["next_page"]).context_data
    assert [row["event"].event_id for row in second["rows"]] == ["call-2"]
    assert second["next_page"] == ""
    assert staff_client.get(url, {"after": "nonsense"}).status_code == 404


def test_the_first_page_of_a_line_reads_only_its_own_events(acme):
    calls = make_feature()
    send(at=START, event_id="first")
    line = billed(calls).lines.get(kind="usage")
    event = Event.objects.get(event_id="first")
    copy_row(
        event, 20_000, id="1000000 + n", event_id="'copy-' || n", occurred_at="occurred_at + n * interval '1 second'"
    )
    with CaptureQueriesContext(connection) as queries:
        assert len(list_ids(line, most=101)) == 101
    assert count_rows_read(queries[-1]["sql"], "events_event") <= 102


def test_fees_have_no_events(acme, staff_client, api):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}
    send(at=START)
    line = billed(make_feature(), fees=[fee]).lines.get(kind="fee")
    with pytest.raises(NotUsage):
        list_windows(line)
    assert staff_client.get(reverse("admin:billing_line_events", args=[line.pk])).status_code == 404
    refused = api.get(f"invoices/{line.invoice.public_id}/lines/{line.public_id}/events", 400)
    assert refused["message"] == "Only usage lines have events."


def test_more_events_than_fit_into_a_file_are_refused(acme, monkeypatch):
    monkeypatch.setattr(line_events, "MOST_EXPORTED", 1)
    send(at=START)
    send(at=START)
    line = billed(make_feature()).lines.get(kind="usage")
    with pytest.raises(line_events.TooManyEvents, match="2 events"):
        build_event_table(line)


def test_the_api_returns_the_events_in_pages(acme, api, django_assert_num_queries):
    calls = make_feature()
    for number in range(5):
        send(at=START + timedelta(minutes=number), event_id=f"call-{number}")
    line = billed(calls).lines.get(kind="usage")
    path = f"invoices/{line.invoice.public_id}/lines/{line.public_id}/events"
    first = api.get(path, page_size=3)
    assert [item["id"] for item in first["items"]] == ["call-0", "call-1", "call-2"]
    assert (first["has_more"], first["events_count"]) == (True, 5)
    rest = api.get(path, page_size=3, iter_last_key=first["iter_last_key"])
    assert [item["id"] for item in rest["items"]] == ["call-3", "call-4"]
    assert rest["has_more"] is False
    assert rest["items"][0]["timestamp"] == "2026-09-01T00:03:00Z"
    api.get(path, 400, iter_last_key="nonsense")
    api.get(path, 400, page_size=1001)
    api.get(f"invoices/inv_other/lines/{line.public_id}/events", 404)
    with django_assert_num_queries(2):  # the line, its events: with the key's own look-up remembered
        api.get(path, page_size=2)


def test_staff_who_cannot_view_events_cannot_export_them(acme, client):
    send(at=START)
    line = billed(make_feature()).lines.get(kind="usage")
    url = reverse("admin:billing_line_events", args=[line.pk])
    assert as_viewer("billing").get(url).status_code == 403
    client.force_login(make_user())
    assert client.get(url).status_code == 403
