"""Attacks on the pages of Usage Tracking: staff without permission, and clients that send scripts and formulas."""

import csv
from io import BytesIO, StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from openpyxl import load_workbook

from events.access.keys import make_key
from events.fixing import runs
from events.fixing.registry import ACTIONS
from events.models import ApiKey, DuplicateEvent, Event, MendingRun, Problem
from events.models.operations import MendingKind
from tests.admin_pages import url
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
FORMULA = "=HYPERLINK(1)"


def client_of(role: str = "") -> Client:
    """Log in staff of a role; without one, staff who may do nothing at all."""
    user = make_user()
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def everything() -> dict[str, Any]:
    """Read every row of what staff could change."""
    found = {}
    with connection.cursor() as cursor:
        for model in (*apps.get_app_config("events").get_models(), *apps.get_app_config("catalog").get_models()):
            table = model._meta.db_table
            cursor.execute(
                f"SELECT md5(COALESCE(string_agg(row::text, '|' ORDER BY row::text), '')) FROM {table} AS row"
            )
            found[table] = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM customers_customer")
        found["customers"] = cursor.fetchone()[0]
    return found


@pytest.fixture
def world():
    """One of everything that the pages show: counted, a problem of each kind, a repeat, a key, a run."""
    feature = make_feature(name="Tokens", event_name="model.usage", field="tokens")
    customer = make_customer(external_id="acme", name="Acme")
    make_subscription(customer=customer, plan=make_version({"feature": feature}))
    now = {"at": timezone.now(), "received_at": timezone.now()}
    send("model.usage", event_id="counted", tokens=1, **now)
    send("Model.Usage", event_id="wrong", tokens=1, **now)
    send("model.usage", event_id="text", tokens="1", **now)
    send("model.usage", event_id="stranger", customer="nobody", tokens=1, **now)
    process()
    send("model.usage", event_id="counted", tokens=2, **now)
    process()
    make_key("sender")
    runs.start_run(
        MendingKind.REPLAY, "replay_cause", {"cause": "not_a_number"}, title="x", now=timezone.now(), by=None
    )
    return feature


def addresses() -> list[str]:
    """List every address of the admin of events, filled in with rows that exist."""
    rows = {
        "event": Event.objects.get(event_id="text").pk,
        "problem": Problem.objects.order_by("pk")[0].pk,
        "duplicateevent": DuplicateEvent.objects.order_by("pk")[0].pk,
        "apikey": ApiKey.objects.order_by("pk")[0].pk,
        "mendingrun": MendingRun.objects.order_by("pk")[0].pk,
    }
    found = []
    for pattern in _patterns(site.get_urls()):
        name = pattern.name or ""
        if not name.startswith("events_"):
            continue
        pk = next((pk for model, pk in rows.items() if name.startswith(f"events_{model}")), 1)
        for arguments in ({}, {"object_id": pk}, {"run_id": pk}):
            try:
                found.append(reverse(f"admin:{name}", kwargs=arguments))
            except NoReverseMatch:
                continue
            break
    return sorted(set(found))


def _patterns(patterns: Any) -> Any:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _patterns(pattern.url_patterns)
        else:
            yield pattern


def attacks(feature) -> list[tuple[str, dict[str, Any]]]:
    """List what somebody would post who knows every form."""
    yes = {"_form_submitted": "1", "reason": "because", "post": "yes"}
    cause = {"cause": "unknown_event_name", "event_name": "Model.Usage", "external_customer_id": ""}
    given = {
        **cause,
        "external_id": "nobody",
        "alias": "nobody",
        "meant": "acme",
        "name": "x",
        "timezone": "UTC",
        "customer": "1",
        "feature": str(feature.pk),
        "ledger_id": str(Event.objects.get(event_id="text").pk),
        "since": "2020-01-01T00:00",
        "at": timezone.now().isoformat(),
        "starts_at": "2026-01-01T00:00",
    }
    fixes = [(url("events_debugger_fix"), given | {"action": name, "reason": "because"}) for name in ACTIONS]
    selected = [problem.pk for problem in Problem.objects.all()]
    actions = [
        (url("events_problem_changelist"), {"action": name, "_selected_action": selected, "reason": "because"})
        for name in ("replay_selected", "dismiss_selected", "delete_selected")
    ]
    conflicts = [row.pk for row in DuplicateEvent.objects.all()]
    dismissed = {"action": "dismiss_selected", "_selected_action": conflicts, "reason": "because"}
    actions.append((url("events_duplicateevent_changelist"), dismissed))
    conflict_cause = (url("events_duplicateevent_dismiss_cause") + "?key=0&difference=properties", yes)
    dismissal = url("events_problem_dismiss_cause") + "?cause=unknown_event_name&event_name=Model.Usage"
    test_event = '{"event_name": "model.usage", "external_customer_id": "acme", "properties": {"tokens": 3}}'
    dry_run = (url("events_dry_run"), {"payload": test_event, "send": "1"})
    return [*fixes, *actions, conflict_cause, (dismissal, yes), dry_run, *((address, yes) for address in addresses())]


def test_every_address_of_the_admin_is_attacked(world):
    found = addresses()
    assert len(found) > 45
    for part in ("/void", "/replay", "/rotate", "/revoke", "/add/", "/delete/", "/causes/dismiss/", "/debugger/fix/"):
        assert any(part in address for address in found), part


@pytest.mark.parametrize("role", ["Viewer", ""])
def test_staff_without_permission_change_nothing_by_any_post(world, role):
    client, before = client_of(role), everything()
    answers = {}
    for address, given in attacks(world):
        answers[address, given.get("action", "")] = client.post(address, given).status_code
        assert everything() == before, (address, given)
    assert not {status for status in answers.values() if status >= 500}
    assert {answers[url("events_debugger_fix"), name] for name in ACTIONS} == {403}
    dismissal = url("events_problem_dismiss_cause") + "?cause=unknown_event_name&event_name=Model.Usage"
    assert answers[dismissal, ""] == 403


def test_staff_without_any_right_see_no_page(world):
    client = client_of()
    assert {client.get(address).status_code for address in addresses()} <= {302, 403, 404, 405}


def test_anonymous_users_are_sent_to_the_login(world):
    for address in addresses():
        answer = Client().get(address)
        assert answer.status_code == 302, address
        assert "/login/" in answer.headers["Location"]


def test_a_post_without_the_sites_token_is_refused(world, staff_user):
    client, before = Client(enforce_csrf_checks=True), everything()
    client.force_login(staff_user)
    for address, given in attacks(world):
        assert client.post(address, given).status_code in (403, 405), address
    assert everything() == before


@pytest.fixture
def evil():
    """Everything that a sender or a colleague can name is named with a script."""
    feature = make_feature(
        name=f"F {EVIL}", event_name=f"e {EVIL}", field="tokens", unit_singular=EVIL, unit_plural=EVIL
    )
    customer = make_customer(external_id=f"c {EVIL}", name=f"N {EVIL}")
    make_subscription(customer=customer, plan=make_version({"feature": feature}, name=f"P {EVIL}"))
    now = {"at": timezone.now(), "received_at": timezone.now(), "source": f"s {EVIL}"}
    properties = {EVIL: EVIL, "tokens": 1}
    send(f"e {EVIL}", event_id=f"counted {EVIL}", customer=f"c {EVIL}", **now, **properties)
    send(f"wrong {EVIL}", event_id=f"wrong {EVIL}", customer=f"c {EVIL}", **now, **properties)
    send(f"e {EVIL}", event_id=f"text {EVIL}", customer=f"c {EVIL}", **now, **{EVIL: EVIL, "tokens": EVIL})
    send(f"e {EVIL}", event_id=f"missing {EVIL}", customer=f"c {EVIL}", **now, **{EVIL: EVIL})
    send(f"e {EVIL}", event_id=f"stranger {EVIL}", customer=f"nobody {EVIL}", **now, **properties)
    process()
    send(f"e {EVIL}", event_id=f"counted {EVIL}", customer=f"c {EVIL}", **now, **{EVIL: "other", "tokens": 2})
    process()
    make_key(f"k {EVIL}")
    return feature


def pages(feature) -> list[str]:
    """List the pages that show what was named, with every way to ask for it."""
    ids = list(Event.objects.values_list("event_id", flat=True))
    events = list(Event.objects.values_list("pk", flat=True))
    found = [
        *(reverse("admin:index"), url("events_event_changelist"), url("events_problem_causes"), url("events_debugger")),
        *(url("events_problem_changelist", state="all"), url("events_duplicateevent_changelist")),
        *(
            url("events_apikey_changelist"),
            url("events_refusedrequest_changelist"),
            url("events_inboxevent_changelist"),
        ),
        *(url("events_debugger", event=name) for name in ids),
        *(url("events_event_change", pk) for pk in events),
        *(url("events_event_payload", pk) for pk in events),
        *(url("events_problem_change", pk) for pk in Problem.objects.values_list("pk", flat=True)),
        *(url("events_duplicateevent_change", pk) for pk in DuplicateEvent.objects.values_list("pk", flat=True)),
        *(url("events_event_changelist", **{name: EVIL}) for name in ("source", "event_name", "property", "q")),
        *(reverse("admin:events_debugger", query={key: EVIL}) for key in ("event", "name", "customer", "source")),
        reverse("admin:events_debugger", query={"name": f"e {EVIL}"}),
        url("events_debugger_feed"),
        url("events_dry_run", payload=EVIL),
        url("events_debugger_fix", action="map_event_name", alias=EVIL, event_name=feature.event_name),
        reverse("admin:events_debugger_fix", query={"action": "create_customer", "external_id": EVIL, "name": EVIL}),
    ]
    query = {"feature": feature.pk, "customer": f"c {EVIL}", "window": "month", "group": "property", "property": EVIL}
    return [*found, url("events_query", **query)]


def test_no_page_runs_what_was_sent(evil, staff_client):
    causes = staff_client.get(url("events_problem_causes")).context_data["causes"]
    answers = {
        address: staff_client.get(address) for address in [*pages(evil), *(row["dismiss_url"] for row in causes)]
    }
    answers |= {row["at_risk_url"]: staff_client.post(row["at_risk_url"]) for row in causes}
    fix = {"action": "map_event_name", "alias": f"e {EVIL}", "event_name": evil.event_name}
    answers["effect"] = staff_client.post(url("events_debugger_fix_effect"), fix)
    for address, answer in answers.items():
        assert answer.status_code == 200, address
        text = answer.content.decode()
        if answer.headers["Content-Type"].startswith("text/html"):
            assert "<script>alert" not in text, address
            assert "<img src=x" not in text, address


@pytest.fixture
def formulas():
    feature = make_feature(name=FORMULA, event_name=FORMULA, field="tokens")
    make_customer(external_id=FORMULA, name=FORMULA)
    now = {"at": timezone.now(), "received_at": timezone.now(), "source": FORMULA}
    send(FORMULA, event_id=FORMULA, customer=FORMULA, tokens=1, **now, **{FORMULA: FORMULA})
    send(FORMULA, event_id="@text", customer=FORMULA, tokens="-1+1", **now)
    process()
    send(FORMULA, event_id=FORMULA, customer=FORMULA, tokens=2, **now)
    process()
    return feature


@pytest.mark.parametrize(
    "page", ["events_event_changelist", "events_problem_changelist", "events_duplicateevent_changelist"]
)
def test_no_export_holds_a_formula(formulas, staff_client, page):
    text = b"".join(staff_client.get(url(page, _export="csv")).streaming_content).decode("utf-8-sig")
    cells = [cell for row in csv.reader(StringIO(text)) for cell in row]
    assert any(FORMULA in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "-", "\t"))]
    book = load_workbook(BytesIO(b"".join(staff_client.get(url(page, _export="xlsx")).streaming_content)))
    assert not [cell for row in book.active.rows for cell in row if cell.data_type == "f"]


def test_the_query_tools_file_holds_no_formula(formulas, staff_client):
    query = {"feature": formulas.pk, "group": "property", "property": FORMULA, "window": "month"}
    answer = staff_client.get(url("events_query", **query, format="csv"))
    cells = [cell for row in csv.reader(StringIO(answer.getvalue().decode("utf-8-sig"))) for cell in row]
    assert any(FORMULA in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t"))]
