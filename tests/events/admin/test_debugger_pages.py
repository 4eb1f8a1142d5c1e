"""The Event Debugger and Query tool: content, permissions, buttons, and query counts."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import EventNameAlias
from events.models import DuplicateEvent, EventState, InboxEvent, RefusedRequest
from events.reasons import Reason
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db

DEBUGGER = "/admin/events/debugger/"
FIX = f"{DEBUGGER}fix/"
MAPPING = {"action": "map_event_name", "alias": "Model.Usage", "event_name": "model.usage"}


@pytest.fixture
def acme():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def tokens():
    return make_feature(name="Tokens", event_name="model.usage", field="tokens")


@pytest.fixture
def priced(acme, tokens):
    """Acme pays $0.02 a token."""
    version = make_version({"feature": tokens, "unit_amount": Decimal("0.02")})
    return make_subscription(customer=acme, plan=version)


def client_with(*permissions: str) -> Client:
    """Log in somebody who may do just this."""
    user = make_user()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def html(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.status_code
    return " ".join(answer.content.decode().split())


def test_the_pages_have_the_names_that_links_use():
    assert reverse("admin:events_debugger") == DEBUGGER
    assert reverse("admin:events_query") == "/admin/events/query/"
    assert reverse("admin:events_dry_run") == f"{DEBUGGER}dry-run/"


@pytest.mark.parametrize("name", ["events_debugger", "events_query", "events_dry_run", "events_debugger_feed"])
def test_pages_are_for_staff_who_may_view_events(name):
    assert Client().get(reverse(f"admin:{name}")).status_code == 302
    assert client_with().get(reverse(f"admin:{name}")).status_code == 403
    assert client_with("view_event").get(reverse(f"admin:{name}")).status_code == 200


@pytest.mark.hot
def test_the_live_view_marks_problems_and_repeats(staff_client, acme, tokens):
    send("model.usage", event_id="good", tokens=1)
    send("model.usage", event_id="good", tokens=1)
    send("Model.Usage", event_id="bad", tokens=1)
    process()
    shown = staff_client.get(reverse("admin:events_debugger_feed")).json()
    by_id = {(row["event_id"], row["state"]): row for row in shown["events"]}
    assert by_id["good", "Counted"]["level"] == "pass"
    assert by_id["bad", "Problem"]["reasons"] == ["Unknown event name"]
    assert by_id["good", "Duplicate"]["reasons"] == ["Duplicate, same content (1×)"]
    page = html(staff_client, DEBUGGER)
    assert "Unknown event name" in page
    assert "?event=bad" in page


@pytest.mark.hot
def test_the_live_view_can_be_filtered(staff_client, acme, tokens):
    send("model.usage", event_id="good", tokens=1, source="web")
    send("Model.Usage", event_id="bad", tokens=1)
    process()
    feed = reverse("admin:events_debugger_feed")
    ids = lambda **query: [row["event_id"] for row in staff_client.get(feed, query).json()["events"]]  # noqa: E731
    assert ids(state="problems") == ["bad"]
    assert ids(state="counted") == ["good"]
    assert ids(name="Model.Usage") == ["bad"]
    assert ids(source="web") == ["good"]
    assert ids(customer="nobody") == []


def test_refused_requests_show_how_to_fix_them(staff_client):
    RefusedRequest.objects.create(
        minute=NOON,
        status=401,
        reason=Reason.UNAUTHORIZED,
        path="/v1/events",
        message="The key was revoked.",
        last_at=NOON,
    )
    page = html(staff_client, DEBUGGER)
    assert "The key was revoked." in page
    assert "Use an active key." in page


def test_an_empty_live_view_says_what_to_do(staff_client):
    page = html(staff_client, DEBUGGER)
    assert "No events yet" in page
    assert "No refused requests" in page


def test_the_number_of_events_does_not_change_queries_of_the_live_feed(
    staff_client, acme, tokens, django_assert_num_queries
):
    feed = reverse("admin:events_debugger_feed")
    counts = []
    for how_many in (2, 40):
        for number in range(how_many):
            send("Model.Usage" if number % 2 else "model.usage", tokens=1)
        process()
        with django_assert_num_queries(10) as captured:
            staff_client.get(feed)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_an_unknown_id_was_never_accepted(staff_client):
    page = html(staff_client, DEBUGGER, event="never-sent")
    assert "Never accepted" in page


def test_an_id_whose_first_event_is_gone_shows_its_repeats(staff_client):
    DuplicateEvent.objects.create(
        event_id="gone", kind="same", event_name="x", external_customer_id="y", first_at=NOON, last_at=NOON
    )
    assert "Only duplicates are known" in html(staff_client, DEBUGGER, event="gone")


def test_the_page_of_a_waiting_event_reloads(staff_client, acme, tokens):
    send("model.usage", event_id="waiting", tokens=1)
    page = html(staff_client, DEBUGGER, event="waiting")
    assert "Waiting to be processed" in page
    assert "data-reload-ms" in page


def test_what_was_sent_is_shown_as_text_and_never_as_html(staff_client, tokens):
    send("<script>alert(1)</script>", event_id="<b>x</b>", customer='"><img src=x>', tokens=1)
    process()
    for page in (html(staff_client, DEBUGGER, event="<b>x</b>"), html(staff_client, DEBUGGER)):
        assert "<script>alert" not in page
        assert "<b>x</b>" not in page
        assert "<img src=x>" not in page


@pytest.mark.hot
def test_the_number_of_events_does_not_change_queries_of_the_diagnosis(
    staff_client, priced, django_assert_max_num_queries
):
    for number in range(30):
        send("model.usage", event_id=f"e-{number}", tokens=1)
    process()
    staff_client.get(DEBUGGER, {"event": "e-1"})
    with django_assert_max_num_queries(45):
        html(staff_client, DEBUGGER, event="e-1")


def effect(client, **given):
    """Ask for the preview of a fix, as its page does."""
    return " ".join(client.post(f"{FIX}effect/", given).content.decode().split())


def test_a_fix_is_previewed_applied_and_proved(staff_client, priced, staff_user):
    now = timezone.now()
    for hours in (1, 2, 3):
        send("Model.Usage", event_id=f"e-{hours}", at=now - timedelta(hours=hours), received_at=now, tokens=50)
    process()
    page = html(staff_client, DEBUGGER, event="e-1")
    assert "Count “Model.Usage” as “model.usage”…" in page
    shown = effect(staff_client, event="e-1", **MAPPING)
    # 150 tokens × $0.02
    assert "$3.00" in shown
    assert "Apply and replay 3 events" in shown
    assert not EventNameAlias.objects.exists()
    answer = staff_client.post(FIX, {"event": "e-1", **MAPPING, "reason": "old SDK"})
    assert (answer.status_code, answer["Location"]) == (302, f"{DEBUGGER}?event=e-1")
    proof = html(staff_client, answer["Location"])
    assert "3 problems closed, 0 still open" in proof
    assert "<strong>$3.00</strong>, $3.00 more" in proof
    assert ledger("e-1").state == EventState.COUNTED
    assert (EventNameAlias.objects.get().created_by, EventNameAlias.objects.get().reason) == (staff_user, "old SDK")
    assert 'id="proof"' not in html(staff_client, DEBUGGER, event="e-1")


def test_a_fix_with_missing_values_asks_for_them_first(staff_client, tokens):
    send("model.usage", event_id="e-1", customer="newcomer", tokens=1)
    process()
    given = {"event": "e-1", "action": "create_customer", "external_id": "newcomer", "name": "newcomer"}
    assert "fix/effect/" not in html(staff_client, FIX, **given)
    filled = {**given, "timezone": "Europe/Berlin", "currency": "", "previewed": "1"}
    assert f'hx-post="{FIX}effect/"' in html(staff_client, FIX, **filled)
    assert "Apply and replay 1 event" in effect(staff_client, **filled)
    refused = effect(staff_client, **filled | {"timezone": "Mars"})
    assert "Apply and replay" not in refused


def test_a_fix_needs_the_permission_for_what_it_changes(priced):
    send("Model.Usage", event_id="e-1", tokens=1)
    process()
    viewer = client_with("view_event")
    assert "Your role doesn't have permission" in html(viewer, DEBUGGER, event="e-1")
    assert viewer.get(FIX, {"event": "e-1", **MAPPING}).status_code == 403
    assert viewer.post(f"{FIX}effect/", {"event": "e-1", **MAPPING}).status_code == 403
    assert viewer.post(FIX, {"event": "e-1", **MAPPING}).status_code == 403
    assert client_with("view_event", "add_eventnamealias").post(FIX, MAPPING).status_code == 302


def test_a_fix_requires_the_csrf_token(staff_user, priced):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff_user)
    assert strict.post(FIX, MAPPING).status_code == 403
    assert not EventNameAlias.objects.exists()


def test_an_unknown_fix_shows_an_error(staff_client):
    answer = staff_client.get(FIX, {"action": "no_such"}, follow=True)
    assert "This fix doesn&#x27;t exist." in answer.content.decode()


def test_the_dry_run_shows_the_steps_and_stores_nothing(staff_client, acme, tokens):
    url = reverse("admin:events_dry_run")
    assert "curl --request POST" in html(staff_client, url)
    payload = '{"event_name": "Model.Usage", "external_customer_id": "acme", "properties": {"tokens": "2"}}'
    answer = staff_client.post(url, {"payload": payload}).content.decode()
    assert "It would not count" in answer
    assert "differs only in upper and lower case" in answer
    assert "Accept numeric strings" in answer
    assert not InboxEvent.objects.exists()


def test_a_test_event_is_sent_from_the_page(staff_client, acme, tokens):
    payload = '{"event_name": "model.usage", "external_customer_id": "acme", "properties": {"tokens": 2}}'
    answer = staff_client.post(reverse("admin:events_dry_run"), {"payload": payload, "send": "1"})
    waiting = InboxEvent.objects.get()
    assert answer["Location"] == f"{DEBUGGER}?event={waiting.event_id}"
    assert waiting.source == "test"
    viewer = client_with("view_event")
    assert viewer.post(reverse("admin:events_dry_run"), {"payload": payload, "send": "1"}).status_code == 403


def test_the_address_of_the_query_tool_holds_the_whole_query(staff_client, acme, tokens):
    send("model.usage", tokens=1234, model="gpt-4")
    send("model.usage", tokens=6, model="=cmd()")
    process()
    given = {"feature": tokens.pk, "customer": "acme", "window": "custom", "timezone": "UTC", "recount": "1"}
    given |= {"start": "2026-03-01T00:00", "end": "2026-04-01T00:00", "group": "property", "property": "model"}
    url = reverse("admin:events_query")
    page = html(staff_client, url, **given)
    assert "1,240" in page
    assert "Both match." in page
    assert "&quot;kind&quot;:&quot;bar&quot;" in page
    table = staff_client.get(url, given | {"format": "csv"}).getvalue().decode("utf-8-sig").splitlines()
    assert table[0] == "model,external_customer_id,quantity,events,from (UTC),to (UTC),feature"
    assert table[1].startswith("'=cmd(),acme,6,1,2026-03-01 00:00:00")
    assert table[2].startswith("gpt-4,acme,1234,1,")


def test_an_empty_query_answer_shows_what_to_do(staff_client, acme, tokens):
    url = reverse("admin:events_query")
    assert "Choose a feature</h2>" in html(staff_client, url)
    assert "No events have been counted for this feature" in html(staff_client, url, feature=tokens.pk, window="month")
    assert "choose a customer" in html(staff_client, url, feature=tokens.pk, window="current")
    assert "Choose a feature." in html(staff_client, url, feature="x")


@pytest.mark.parametrize(
    "query",
    [
        "event=%00",
        "event=a%00b",
        "name=%00&customer=%00&source=%00&state=moon",
        "event=" + "x" * 5000,
    ],
)
def test_odd_addresses_of_the_debugger_break_nothing(staff_client, query):
    assert staff_client.get(f"{DEBUGGER}?{query}").status_code == 200
    assert staff_client.get(f"{DEBUGGER}feed/?{query}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "action=create_subscription&customer=1&starts_at=soon",
        "action=add_to_plan&subscription=1&feature=1&at=x",
        "action=replay&ledger_id=" + "9" * 40,
        "action=activate_feature&feature=%00",
        "action=map_event_name&alias=%00&event_name=x",
        "",
    ],
)
def test_odd_addresses_of_a_fix_are_refused_in_a_sentence(staff_client, query):
    assert staff_client.get(f"{FIX}?{query}", follow=True).status_code == 200
    assert staff_client.post(f"{FIX}?{query}", follow=True).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["customer=%00", "window=custom&start=%00&end=2026", "group=property&property=%00", "timezone=..%2F..%2Fetc"],
)
def test_odd_addresses_of_the_query_tool_break_nothing(staff_client, tokens, query):
    url = f"/admin/events/query/?feature={tokens.pk}&window=month&{query}"
    assert staff_client.get(url).status_code == 200
