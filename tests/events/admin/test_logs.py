"""Duplicates, refused requests, batches and usage checks are bounded, read-only lists."""

from datetime import timedelta

import pytest
from django.utils import timezone

from events.admin.comparing import compare
from events.ledger.rebuilding import FIRST, LAST
from events.models import DuplicateEvent, ProcessedBatch, RefusedRequest, UsageCheck
from tests.admin_pages import submit
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


@pytest.fixture
def conflict():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens")
    send("model.usage", event_id="e1", tokens=5, source="gateway")
    process()
    send("model.usage", event_id="e1", tokens=6, source="batch")
    process()
    return DuplicateEvent.objects.get()


def test_a_conflict_shows_both_bodies_with_what_differs(conflict, staff_client):
    pairs = [(pair.first.strip(), pair.repeat.strip()) for pair in compare(ledger("e1"), conflict.body) if pair.differs]
    assert pairs == [('"tokens": 5', '"tokens": 6'), ('"source": "gateway",', '"source": "batch",')]
    page = staff_client.get(f"/admin/events/duplicateevent/{conflict.pk}/change/").content.decode()
    assert page.count("ch-differs") == 2


def test_bodies_of_different_length_are_paired_line_by_line(conflict):
    body = conflict.body | {"properties": {"tokens": 5, "a": 1}, "source": "gateway"}
    assert [(pair.first, pair.repeat.strip()) for pair in compare(ledger("e1"), body) if pair.differs] == [
        ("", '"a": 1,')
    ]


def test_duplicates_filter_by_kind_and_source(conflict, staff_client):
    send("model.usage", event_id="e1", tokens=5, source="gateway")
    process()

    def sources(**asked):
        response = staff_client.get("/admin/events/duplicateevent/", asked)
        return [row.source for row in response.context_data["cl"].result_list]

    assert set(sources()) == {"batch", "gateway"}
    assert sources(kind="conflict") == ["batch"]
    assert sources(kind="same") == ["gateway"]
    assert sources(source="gateway") == ["gateway"]
    assert sources(q="E1") == []


def test_conflicts_are_listed_by_cause_with_links_to_the_debugger_and_dismissed(conflict, staff_client):
    page = staff_client.get("/admin/events/duplicateevent/", {"state": "open"})
    text = page.content.decode()
    assert "Another source" in text
    assert "/debugger/?event=e1" in text
    [row] = page.context_data["conflict_causes"]
    dialog = staff_client.get(row["dismiss_url"]).content.decode()
    assert "Dismiss these conflicts?" in dialog
    submit(staff_client, row["dismiss_url"], reason="The gateway was fixed")
    conflict.refresh_from_db()
    assert (conflict.state, conflict.dismissal) == ("dismissed", "The gateway was fixed")
    page = staff_client.get("/admin/events/duplicateevent/", {"state": "open"})
    assert (page.context_data["conflict_causes"], len(page.context_data["cl"].result_list)) == ([], 0)


def test_one_or_some_conflicts_are_dismissed(conflict, staff_client):
    chosen = {"action": "dismiss_selected", "_selected_action": [conflict.pk]}
    assert "Dismiss 1 conflict" in staff_client.post("/admin/events/duplicateevent/", chosen).content.decode()
    staff_client.post("/admin/events/duplicateevent/", chosen | {"reason": "Fixed"})
    assert DuplicateEvent.objects.get().dismissal == "Fixed"
    DuplicateEvent.objects.update(dismissed_at=None, dismissed_by=None, dismissal="")
    submit(staff_client, f"/admin/events/duplicateevent/{conflict.pk}/dismiss/", reason="Fixed again")
    assert DuplicateEvent.objects.get().dismissal == "Fixed again"
    assert "Fixed again" in staff_client.get(f"/admin/events/duplicateevent/{conflict.pk}/change/").content.decode()


def test_refused_requests_show_field_message_and_what_to_do(staff_client):
    now = timezone.now()
    for number in range(60):
        RefusedRequest.objects.create(
            minute=now, last_at=now - timedelta(seconds=number), status=400, reason="bad_request", path="/v1/events",
            field="timestamp", message=f"not a time {number}", count=3, key_prefix="sk_abc",
        )  # fmt: skip
    first = staff_client.get("/admin/events/refusedrequest/")
    assert "Correct the named field." in first.content.decode()
    listed = first.context_data["cl"]
    assert [row.message for row in listed.result_list[:2]] == ["not a time 0", "not a time 1"]
    older = staff_client.get("/admin/events/refusedrequest/" + listed.older_url).context_data["cl"]
    assert [row.message for row in older.result_list] == [f"not a time {number}" for number in range(25, 50)]
    assert staff_client.get("/admin/events/refusedrequest/", {"status": "401"}).context_data["cl"].result_count == 0


@pytest.mark.parametrize("model", ["duplicateevent", "refusedrequest", "processedbatch", "usagecheck", "inboxevent"])
def test_empty_logs_explain_their_purpose(staff_client, model):
    page = staff_client.get(f"/admin/events/{model}/").content.decode()
    assert "ch-empty" in page


@pytest.mark.parametrize("model", ["duplicateevent", "refusedrequest", "processedbatch", "usagecheck", "inboxevent"])
def test_nothing_in_a_log_is_added(staff_client, model):
    assert staff_client.get(f"/admin/events/{model}/add/").status_code == 403


@pytest.mark.hot
def test_batches_and_checks_show_their_results(conflict, staff_client):
    assert "1 with a different body" in staff_client.get("/admin/events/processedbatch/").content.decode()
    batch = ProcessedBatch.objects.first()
    assert staff_client.get(f"/admin/events/processedbatch/{batch.pk}/change/").status_code == 200
    for differing in (0, 2):
        UsageCheck.objects.create(started_at=NOON, finished_at=NOON, buckets=10, differing=differing)
    page = staff_client.get("/admin/events/usagecheck/").content.decode()
    assert "no differences" in page
    assert "2 differ" in page


def test_a_check_describes_what_it_compared(staff_client, django_assert_max_num_queries):
    calls, pine = make_feature(name="Calls"), make_customer(name="Harbour & Pine")
    all_time = {"start": FIRST.isoformat(), "end": LAST.isoformat()}
    for scope in (
        {"feature": calls.pk, **all_time},
        {"feature": calls.pk, "customer": pine.pk, **all_time, "start": "2026-10-01T00:00:00+00:00"},
        all_time,
    ):
        UsageCheck.objects.create(started_at=NOON, finished_at=NOON, scope=scope)
    with django_assert_max_num_queries(8):
        page = staff_client.get("/admin/events/usagecheck/").content.decode()
    assert "Calls, all time" in page
    assert "Calls of Harbour &amp; Pine, from 2026-10-01 00:00 UTC" in page
    assert "All features, all time" in page


def test_rows_that_never_change_offer_no_history(conflict, staff_client):
    page = staff_client.get(f"/admin/events/processedbatch/{ProcessedBatch.objects.first().pk}/change/")
    assert "/history/" not in page.content.decode()


@pytest.mark.parametrize(("model", "queries"), [("duplicateevent", 8), ("refusedrequest", 5), ("processedbatch", 5)])
def test_the_length_of_logs_does_not_change_query_count(
    conflict, staff_client, django_assert_num_queries, model, queries
):
    now = timezone.now()

    def look():
        with django_assert_num_queries(queries):
            assert staff_client.get(f"/admin/events/{model}/").status_code == 200

    RefusedRequest.objects.create(minute=now, last_at=now, status=400, reason="bad_request", path="/", message="x")
    look()
    for number in range(20):
        send("model.usage", event_id="e1", tokens=100 + number)
        process()
        RefusedRequest.objects.create(
            minute=now, last_at=now, status=400, reason="bad_request", path="/", message=str(number)
        )
    look()
