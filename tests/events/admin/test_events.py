"""The Events dashboard and the page of one event."""

import json
from datetime import timedelta
from io import BytesIO

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from events.models import Event, EventState, InboxEvent, UsageBucket
from events.reasons import Reason
from tests.events.senders import ledger, process, send
from tests.factories import make_customer, make_feature, make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/events/event/"


def arrive(*args, ago=timedelta(), **given):
    """Send an event that was received just now, or some time ago."""
    now = timezone.now() - ago
    return send(*args, **{"received_at": now, "at": now} | given)


def client_of(role):
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def shown(client, **asked):
    """List the event ids that the dashboard shows, in its order."""
    response = client.get(LIST, asked)
    assert response.status_code == 200
    return [event.event_id for event in response.context_data["cl"].result_list]


@pytest.fixture
def acme():
    make_feature(name="Tokens", event_name="model.usage", field="tokens")
    return make_customer(external_id="acme", name="Acme Ltd")


@pytest.mark.hot
def test_it_shows_newest_first_with_state_customer_and_value(acme, staff_client):
    old, new = arrive("model.usage", tokens=150), arrive("model.usage", tokens=7)
    stranger = arrive("model.usage", customer="stranger", tokens=1)
    process()
    assert shown(staff_client) == [stranger, new, old]
    page = staff_client.get(LIST).content.decode()
    for text in ("Counted", "Acme Ltd", "tokens = 150", "stranger", "unknown", "Unknown customer"):
        assert text in page


def test_waiting_events_are_shown_in_a_banner_and_a_list(acme, staff_client):
    name = arrive()
    assert "1 event waiting" in staff_client.get(LIST).content.decode()
    assert name in staff_client.get("/admin/events/inboxevent/").content.decode()
    process()
    assert "1 event waiting" not in staff_client.get(LIST).content.decode()


@pytest.mark.hot
def test_pages_lead_through_all_events_and_back(acme, staff_client, monkeypatch):
    monkeypatch.setattr("events.admin.ledger.EventAdmin.list_per_page", 2)
    names = [arrive("model.usage", tokens=number) for number in range(5)]
    process()
    seen, url = [], LIST
    while url:
        listed = staff_client.get(url).context_data["cl"]
        seen += [event.event_id for event in listed.result_list]
        url = LIST + listed.older_url if listed.older_url else ""
    assert seen == names[::-1]
    back = staff_client.get(LIST + listed.newer_url).context_data["cl"]
    assert [event.event_id for event in back.result_list] == [names[2], names[1]]
    first = staff_client.get(LIST + back.newer_url).context_data["cl"]
    assert [event.event_id for event in first.result_list] == [names[4], names[3]]
    assert first.newer_url == ""


@pytest.mark.hot
def test_an_invalid_page_address_shows_the_first_page(acme, staff_client):
    name = arrive("model.usage", tokens=1)
    process()
    assert shown(staff_client, older_than="nonsense") == [name]


@pytest.mark.hot
def test_search_finds_by_exact_event_id_and_by_customer_id(acme, staff_client):
    mine = arrive("model.usage", tokens=1, event_id="Evt-1")
    strange = arrive("model.usage", customer="stranger", tokens=1)
    process()
    assert shown(staff_client, q="Evt-1") == [mine]
    assert shown(staff_client, q="evt-1") == []
    assert shown(staff_client, q="acme") == [mine]
    assert shown(staff_client, q="stranger") == [strange]


@pytest.mark.hot
def test_search_looks_beyond_the_last_week(acme, staff_client):
    name = arrive("model.usage", tokens=1, ago=timedelta(days=40))
    process()
    assert shown(staff_client) == []
    assert shown(staff_client, q=name) == [name]
    assert shown(staff_client, received="all") == [name]


@pytest.mark.parametrize(
    "asked",
    [
        {"state": "3"},
        {"reason": "not_a_number"},
        {"event_name": "model.usage", "state": "3"},
        {"source": "batch"},
        {"property": "tokens:twelve"},
        {"property": "model.name:atlas"},
        {"received": "hour", "source": "batch"},
    ],
)
def test_filters_keep_what_they_name(acme, staff_client, asked):
    arrive("model.usage", tokens=5)
    wanted = arrive("model.usage", source="batch", **{"tokens": "twelve", "model.name": "atlas"})
    process()
    assert shown(staff_client, **asked) == [wanted]


@pytest.mark.hot
def test_a_number_is_found_as_a_number_and_as_a_string(acme, staff_client):
    names = [arrive("model.usage", tokens=5), arrive("model.usage", tokens="5")]
    process()
    assert shown(staff_client, property="tokens:5") == names[::-1]
    assert shown(staff_client, property="tokens:6") == []


@pytest.mark.hot
def test_a_range_of_time_holds_its_start_and_not_its_end(acme, staff_client):
    start = timezone.now().replace(microsecond=0) - timedelta(hours=5)
    names = [arrive("model.usage", tokens=1, received_at=start + timedelta(hours=number)) for number in range(4)]
    process()
    edges = {"from": start + timedelta(hours=1), "to": start + timedelta(hours=3)}
    asked = {
        f"received_at_{edge}_{number}": f"{when:%Y-%m-%d}" if number == 0 else f"{when:%H:%M:%S}"
        for edge, when in edges.items()
        for number in (0, 1)
    }
    assert shown(staff_client, **asked) == [names[2], names[1]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "x"),
        ("state", "99"),
        ("reason", "x"),
        ("received", "x"),
        ("property", ":"),
        ("received_at_from_0", "x"),
    ],
)
def test_invalid_filters_are_ignored(acme, staff_client, name, value):
    assert shown(staff_client, **{name: value}) == []


@pytest.mark.hot
def test_the_number_of_listed_events_does_not_change_query_count(acme, staff_client, django_assert_max_num_queries):
    def look(expected):
        with django_assert_max_num_queries(QUERIES):
            assert len(shown(staff_client)) == expected

    arrive("model.usage", customer="one", tokens=1)
    process()
    look(1)
    for number in range(30):
        make_customer(external_id=f"c{number}")
        arrive("model.usage", customer=f"c{number}", tokens="no number")
        arrive("model.usage", customer=f"unknown-{number}", tokens=1)
    process()
    look(25)


# Session, user, badges, the stretch of ids, the page, features, aliases, problems of the page; above it waiting (2),
# the last day, per minute, the chart, causes (2) and one for the cause whose values aren't numbers. The sidebar shows
# the company's name.
QUERIES = 17


def test_no_query_counts_the_ledger(acme, staff_client, django_assert_max_num_queries):
    arrive("model.usage", tokens=1)
    process()
    with django_assert_max_num_queries(QUERIES) as queries:
        staff_client.get(LIST)
    said = [query["sql"].lower() for query in queries]
    assert not [sql for sql in said if "count(*)" in sql and '"events_event"' in sql]


@pytest.mark.parametrize(
    "model", ["event", "problem", "duplicateevent", "refusedrequest", "processedbatch", "inboxevent"]
)
def test_no_list_counts_rows_per_filter(staff_client, model, django_assert_max_num_queries):
    with django_assert_max_num_queries(QUERIES):
        page = staff_client.get(f"/admin/events/{model}/", {"_facets": "True"}, follow=True).content.decode()
    assert "Show counts" not in page
    assert "Hide counts" not in page


def test_the_payload_shows_on_click(acme, staff_client):
    name = arrive("model.usage", tokens=1, note="<script>")
    process()
    page = staff_client.get(reverse("admin:events_event_payload", args=[ledger(name).pk])).content.decode()
    assert "&quot;tokens&quot;: 1" in page
    assert "<script>" not in page


def test_the_page_of_an_event_shows_everything_about_it(acme, staff_client):
    name = arrive("model.usage", tokens="12", source="gateway")
    arrive("model.usage", tokens="12", source="gateway", event_id=name)
    process()
    page = staff_client.get(reverse("admin:events_event_change", args=[ledger(name).pk])).content.decode()
    for text in (
        "gateway",
        "Acme Ltd",
        "Not a number",
        "accept numeric strings",
        "Duplicates</h2>",
        '<span class="ch-badge ch-badge-danger">Not a number</span>',
    ):
        assert text in page


def said(client, name):
    """Tell what an event's page says of each feature, by the feature's name."""
    response = client.get(reverse("admin:events_event_change", args=[ledger(name).pk]))
    return {verdict.feature.name: verdict.said for verdict in response.context_data["verdicts"]}


def test_the_page_of_an_event_shows_for_each_feature_whether_it_counts(staff_client):
    make_customer(external_id="acme")
    now = timezone.now()
    shared = {"event_name": "model.usage", "field": "tokens"}
    make_feature(name="Lark Mini", filters={"model": ["lark-mini"]}, **shared)
    make_feature(name="Lark Pro", filters={"model": ["lark-pro"]}, **shared)
    make_feature(name="Gone", state="archived", archived_at=now - timedelta(days=1), **shared)
    make_feature(name="Later", counts_from=now + timedelta(days=1), **shared)
    make_feature(name="Seconds", event_name="model.usage", field="seconds")
    name = arrive("model.usage", model="lark-pro", tokens=5)
    strange = arrive("model.usage", customer="stranger", model="lark-pro", tokens=5, seconds=1)
    neither = arrive("model.usage", model="lark-mini", tokens=5, seconds=1)
    process()
    assert said(staff_client, name) == {
        "Lark Mini": "excluded by the feature's filter",
        "Lark Pro": "counts",
        "Gone": str(Reason.FEATURE_ARCHIVED.label),
        "Later": str(Reason.BEFORE_FEATURE_START.label),
        "Seconds": str(Reason.AGGREGATION_FIELD_MISSING.label),
    }
    assert said(staff_client, strange)["Lark Pro"] == "Unknown customer"
    assert said(staff_client, strange)["Lark Mini"] == "excluded by the feature's filter"
    assert said(staff_client, neither)["Seconds"] == "counts"
    assert act(staff_client, neither, "void", reason="Sent twice").status_code < 400
    assert said(staff_client, neither)["Seconds"] == "voided"


@pytest.mark.parametrize("object_id", ["0", "999999", "x", "-1", "9" * 30])
def test_a_missing_event_is_not_found(staff_client, object_id):
    assert staff_client.get(f"{LIST}{object_id}/change/").status_code in (302, 404)
    assert staff_client.get(f"{LIST}{object_id}/payload/").status_code == 404


def act(client, name, action, **data):
    url = reverse(f"admin:events_event_{action}", args=[ledger(name).pk])
    return client.post(url, {"_form_submitted": "1"} | data, headers={"HX-Request": "true"})


def test_voiding_an_event_requires_a_reason(acme, staff_client, staff_user):
    name = arrive("model.usage", tokens=5)
    process()
    assert UsageBucket.objects.get().total == 5
    assert "HX-Redirect" not in act(staff_client, name, "void", reason="").headers
    assert ledger(name).state == EventState.COUNTED
    assert "HX-Redirect" in act(staff_client, name, "void", reason="Sent by a test").headers
    event = ledger(name)
    assert (event.state, event.void.reason, event.void.voided_by) == (EventState.VOIDED, "Sent by a test", staff_user)
    assert not UsageBucket.objects.filter(count__gt=0).exists()
    assert act(staff_client, name, "void", reason="Again").status_code == 403
    assert "Sent by a test" in staff_client.get(reverse("admin:events_event_change", args=[event.pk])).content.decode()


def test_opening_the_dialog_changes_nothing(acme, staff_client):
    name = arrive("model.usage", tokens=5)
    process()
    for action in ("void", "replay_event"):
        response = staff_client.get(reverse(f"admin:events_event_{action}", args=[ledger(name).pk]))
        assert response.status_code == 200
    assert ledger(name).state == EventState.COUNTED


@pytest.mark.django_db(transaction=True)
def test_replaying_counts_an_event_whose_customer_came_later(staff_client):
    make_feature(event_name="model.usage", field="tokens")
    name = arrive("model.usage", customer="later", tokens=5)
    process()
    make_customer(external_id="later")
    act(staff_client, name, "replay_event")
    assert ledger(name).state == EventState.COUNTED


@pytest.mark.parametrize("action", ["void", "replay_event"])
@pytest.mark.parametrize("role", ["Viewer", "Finance"])
def test_viewers_neither_see_nor_call_actions(acme, role, action):
    name = arrive("model.usage", tokens=5)
    process()
    client = client_of(role)
    page = client.get(reverse("admin:events_event_change", args=[ledger(name).pk])).content.decode()
    assert reverse(f"admin:events_event_{action}", args=[ledger(name).pk]) not in page
    assert act(client, name, action, reason="Because").status_code == 403
    assert ledger(name).state == EventState.COUNTED


def test_without_a_role_nothing_shows(acme):
    client = Client()
    client.force_login(make_user())
    assert client.get(LIST).status_code == 403
    assert client.get(LIST, {"_export": "csv"}).status_code == 403


@pytest.mark.hot
def test_no_one_adds_edits_or_deletes_events(acme, staff_client):
    name = arrive("model.usage", tokens=5)
    process()
    assert staff_client.get(f"{LIST}add/").status_code == 403
    assert staff_client.post(f"{LIST}{ledger(name).pk}/change/", {"event_name": "x"}).status_code == 403
    assert staff_client.post(f"{LIST}{ledger(name).pk}/delete/", {"post": "yes"}).status_code == 403
    assert Event.objects.count() == 1


@pytest.mark.hot
def test_the_export_is_what_is_shown(acme, staff_client):
    arrive("model.usage", tokens=5)
    wanted = arrive("model.usage", source="=batch", tokens=6)
    process()
    response = staff_client.get(LIST, {"source": "=batch", "_export": "csv"})
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    heading, *lines = text.strip().splitlines()
    assert heading.startswith("event_id,state,event_name")
    assert len(lines) == 1
    assert lines[0].startswith(f"{wanted},Counted,model.usage,acme,Acme Ltd")
    assert "'=batch" in lines[0]
    book = load_workbook(BytesIO(staff_client.get(LIST, {"_export": "xlsx"}).getvalue()))
    assert book.active.max_row == 3


def test_an_empty_list_shows_what_to_do(staff_client):
    assert "POST /v1/events" in staff_client.get(LIST).content.decode()
    assert "No events match the filters" in staff_client.get(LIST, {"source": "x"}).content.decode()


def test_waiting_events_are_paged_and_found_by_exact_id(staff_client, monkeypatch):
    monkeypatch.setattr("events.admin.inbox.InboxEventAdmin.list_per_page", 2)
    names = [arrive() for _ in range(5)]
    url = waiting = "/admin/events/inboxevent/"
    seen = []
    while url:
        listed = staff_client.get(url).context_data["cl"]
        seen += [event.event_id for event in listed.result_list]
        url = waiting + listed.older_url if listed.older_url else ""
    assert seen == names[::-1]
    back = staff_client.get(waiting + listed.newer_url).context_data["cl"]
    assert [event.event_id for event in back.result_list] == [names[2], names[1]]
    for asked, found in ((names[3], [names[3]]), (f" {names[3]} ", [names[3]]), (names[3][:-1], [])):
        listed = staff_client.get(waiting, {"q": asked}).context_data["cl"]
        assert [event.event_id for event in listed.result_list] == found
    for page, status in (("x", 404), ("9" * 30, 302), ("²", 404)):  # 302: led to the list, which says that it is gone
        assert staff_client.get(f"{waiting}{page}/change/").status_code == status


def test_waiting_events_are_read_only(staff_client):
    arrive()
    event = InboxEvent.objects.get()
    assert staff_client.get(f"/admin/events/inboxevent/{event.pk}/change/").status_code == 200
    assert staff_client.post(f"/admin/events/inboxevent/{event.pk}/delete/", {"post": "yes"}).status_code == 403


def test_properties_are_shown_as_json(acme, staff_client):
    arrive("model.usage", tokens=5)
    assert (
        json.dumps({"tokens": 5}, separators=(",", ":")).replace('"', "&quot;")
        in staff_client.get("/admin/events/inboxevent/").content.decode()
    )


@pytest.fixture
def thirty_with_two_rare_ones(monkeypatch):
    """Thirty events, of which the 4th and the 17th have a source that no other has; a page looks through ten."""
    monkeypatch.setattr("events.admin.event_list.SCAN_LIMIT", 10)
    make_customer(external_id="acme")
    make_feature()
    for number in range(1, 31):
        source = "rare" if number in (4, 17) else "usual"
        send(event_id=f"e-{number}", source=source, received_at=timezone.now())
    process()


@pytest.mark.hot
def test_filters_without_an_index_scan_a_limited_range_and_link_to_the_next(thirty_with_two_rare_ones, staff_client):
    seen, said = [], []
    address = "/admin/events/event/?source=rare"
    while address:
        response = staff_client.get(address)
        page, shown = response.context_data["cl"], response.content.decode()
        seen.append([row.event_id for row in page.result_list])
        said.append("Search older events" in shown)
        address = "/admin/events/event/" + page.older_url if page.older_url else ""
    assert seen == [[], ["e-17"], ["e-4"]]
    assert said == [True, True, False]
    assert "10 events back to" in staff_client.get("/admin/events/event/?source=rare").content.decode()


@pytest.mark.hot
def test_scanned_ranges_link_back_to_newer_events(thirty_with_two_rare_ones, staff_client):
    middle = ledger("e-10").pk
    page = staff_client.get("/admin/events/event/", {"source": "rare", "newer_than": middle}).context_data["cl"]
    assert [row.event_id for row in page.result_list] == ["e-17"]
    assert staff_client.get("/admin/events/event/" + page.newer_url).context_data["cl"].result_count == 0


@pytest.mark.hot
def test_filters_with_an_index_need_no_scan(thirty_with_two_rare_ones, staff_client):
    customer = ledger("e-4").customer_id
    page = staff_client.get("/admin/events/event/", {"source": "rare", "customer__id__exact": customer})
    assert [row.event_id for row in page.context_data["cl"].result_list] == ["e-17", "e-4"]
    assert page.context_data["cl"].looked_through == 0


@pytest.mark.parametrize("cursor", ["x", "9" * 40, "-1", "²"])
def test_an_invalid_cursor_shows_the_first_page(thirty_with_two_rare_ones, staff_client, cursor):
    assert staff_client.get("/admin/events/event/", {"source": "usual", "older_than": cursor}).status_code == 200
