"""The Home page, the sidebar and the search."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from billing.admin import home
from billing.admin.first_steps import first_steps
from billing.lifecycle.void import mark_paid
from billing.models import BillingRun, BillingState, CompanyProfile, Invoice
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import Receipt, record_payment
from config.admin.search import find
from config.admin.sidebar import SECTIONS, capped, navigation
from config.templatetags.countinghouse import as_title, seconds
from events.access.keys import make_key
from events.ledger.causes import open_causes
from events.ledger.conflicts import open_conflicts
from events.ledger.replaying import replay
from events.models import Event
from tests.admin_pages import text_of
from tests.billing.invoices import make_finalized
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_plan, make_subscription, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def make_invoice(*, amount="10", state="draft", due_at=None, **fields):
    finalized = {} if state == "draft" else {"number": f"INV-{Invoice.objects.count()}", "finalized_at": NOW}
    return Invoice.objects.create(
        customer=fields.pop("customer", None) or make_customer(),
        kind="one_off",
        state=state,
        computed_at=NOW,
        due_at=due_at,
        **{"currency": "USD", "subtotal": amount, "total": amount, "amount_due": amount} | finalized | fields,
    )


def client_of(role):
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def request_of(user, path="/admin/", **query):
    request = RequestFactory().get(path, query)
    request.user = user
    return request


# --- Home --------------------------------------------------------------------------------------------


def test_new_installation_shows_the_first_steps(staff_client):
    page = staff_client.get("/admin/").content.decode()
    assert "Get started" in page
    assert "curl http://testserver/v1/events" in page


def test_first_steps_are_ticked_off_and_disappear_once_done(staff_client):
    def done():
        return [step.is_done for step in first_steps()]

    assert done() == [False] * 4
    make_feature(event_name="api.calls")
    make_plan()
    assert done() == [True, False, False, False]
    make_subscription(customer=make_customer(external_id="acme"))
    make_key("Gateway")
    send()
    assert done() == [True, True, True, False]
    process()
    assert done() == [True] * 4
    assert "Get started" not in staff_client.get("/admin/").content.decode()


def test_drafts_show_count_and_totals_by_currency():
    make_invoice(amount="10.50", finalize_at=NOW)
    make_invoice(amount="4.25")
    make_invoice(amount="900", currency="JPY")
    make_invoice(amount="7", state="finalized")
    queue = home.drafts_queue()
    assert (queue.count, queue.money) == ("3", [(Decimal(900), "JPY"), (Decimal("14.75"), "USD")])
    assert queue.note == "next auto-finalizes 2026-03-10 12:00 UTC"


def test_a_draft_on_hold_is_never_the_next_to_finalize():
    held = make_invoice(finalize_at=NOW - timedelta(days=2), held_at=NOW, hold_reason="Disputed")
    assert home.drafts_queue().note == "to review and finalize; 1 on hold"
    make_invoice(finalize_at=NOW + timedelta(days=1))
    assert held.finalize_at < NOW
    assert home.drafts_queue().note == "next auto-finalizes 2026-03-11 12:00 UTC; 1 on hold"


def test_overdue_shows_the_amount_left_to_pay():
    part_paid = make_invoice(amount="10", state="finalized", due_at=NOW - timedelta(days=3))
    record_payment(part_paid, Receipt(Decimal(4), NOW.date()), now=NOW, by=None)
    make_invoice(amount="5", state="finalized", due_at=NOW + timedelta(seconds=1))
    paid = make_invoice(amount="5", state="finalized", due_at=NOW - timedelta(days=9))
    record_payment(paid, Receipt(Decimal(5), NOW.date()), now=NOW, by=None)
    queue = home.overdue_queue(now=NOW)
    assert (queue.count, queue.money, queue.note) == ("1", [(Decimal(6), "USD")], "oldest: 3 days overdue")


def test_refunds_due_show_their_amount(staff_client):
    assert list(home.refunds_queue()) == []
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = draft_credit_note(invoice, {invoice.lines.get().pk: Decimal(30)}, reason="duplicate", by=None)
    finalize_credit_note(note, now=NOW, by=None)
    [queue] = home.refunds_queue()
    assert (queue.count, queue.money) == ("1", [(Decimal(30), "USD")])
    assert list(staff_client.get(queue.url).context_data["cl"].queryset) == [invoice]


def test_overdue_links_to_the_overdue_invoices(staff_client):
    late = make_invoice(state="finalized", due_at=timezone.now() - timedelta(days=3))
    make_invoice(state="finalized", due_at=timezone.now() + timedelta(days=3))
    url = home.overdue_queue(now=timezone.now()).url
    assert list(staff_client.get(url).context_data["cl"].queryset) == [late]


def test_fixed_events_remain_problems_on_arrival_but_are_no_longer_open(staff_client):
    make_feature(event_name="api.calls")
    now = timezone.now()
    send(customer="late", at=now, received_at=now)
    process()
    make_customer(external_id="late")
    replay(list(Event.objects.values_list("pk", flat=True)), closing="Made the customer", by=None)
    home_page = staff_client.get("/admin/").content.decode()
    assert "all events are counted" in home_page
    assert "Problems on arrival, last 24 h" in staff_client.get("/admin/events/event/").content.decode()


def test_waiting_events_become_urgent_after_a_minute():
    send(received_at=NOW)
    assert home.waiting_queue(now=NOW + timedelta(seconds=60)).tone == ""
    late = home.waiting_queue(now=NOW + timedelta(seconds=61))
    assert (late.tone, late.note) == ("danger", "oldest: 61 s. Is a worker running?")


def test_problems_and_conflicts_link_to_their_lists():
    make_customer(external_id="acme")
    send("wrong", event_id="e1", at=timezone.now())
    process()
    send("wrong", event_id="e1", at=timezone.now(), n=1, received_at=timezone.now())
    process()
    assert home.problems_queue(open_causes()).note == "from 1 cause"
    conflicts = home.conflicts_queue(open_conflicts())
    assert (conflicts.count, conflicts.url) == ("1", "/admin/events/duplicateevent/?state=open")


def test_parked_subscriptions_are_counted():
    BillingState.objects.update_or_create(
        subscription=make_subscription(), defaults={"parked_at": NOW, "parked_reason": "No price in EUR"}
    )
    queue = home.parked_queue()
    assert (queue.count, queue.tone) == ("1", "danger")


def test_running_run_shows_progress_and_finished_run_shows_failures():
    assert home.runs_queue(now=NOW).count == "0"
    run = BillingRun.objects.create(kind="scheduled", as_of=NOW, started_at=NOW, subscriptions=10, done=4)
    assert home.runs_queue(now=NOW).count == "4/10"
    run.state, run.finished_at, run.invoices_made, run.failed = "finished", NOW, 9, 1
    run.save()
    queue = home.runs_queue(now=NOW)
    assert (queue.count, queue.note, queue.tone) == (
        "9",
        "invoices in the last run, 2026-03-10 12:00 UTC; 1 failed",
        "danger",
    )


def test_amount_of_data_does_not_change_query_count(staff_client, django_assert_max_num_queries):
    def look():
        with django_assert_max_num_queries(QUERIES):
            assert staff_client.get("/admin/").status_code == 200

    feature = make_feature(event_name="model.usage", field="tokens")
    make_customer(external_id="acme")
    send("model.usage", tokens="x")
    process()
    look()
    for number in range(20):
        make_invoice()
        send(f"wrong {number}")
        send("model.usage", customer=f"stranger {number}", tokens=1)
        make_subscription()
    process()
    look()
    assert feature.problems.count() == 1


# Session, user, company, badges; six for the first steps; causes and their features; waiting (2), parked, drafts,
# overdue, refunds due, run, proofs, conflicts, webhooks, API keys, approvals; alarms.
QUERIES = 26


def test_home_shows_what_needs_attention_and_says_that_all_else_is_in_order(staff_client):
    page = text_of(staff_client.get("/admin/"))
    assert "Everything is in order: all events are counted , all events are processed ," in page
    make_invoice(amount="5", state="finalized", due_at=timezone.now() - timedelta(days=3))
    response = staff_client.get("/admin/")
    assert [queue.name for queue in response.context_data["queues"]] == ["Overdue invoices"]
    assert "All else in order: all events are counted" in text_of(response)


def test_running_run_stays_in_sight_until_it_is_done(staff_client):
    BillingRun.objects.create(kind="scheduled", as_of=NOW, started_at=NOW, subscriptions=10, done=4)
    assert [queue.count for queue in staff_client.get("/admin/").context_data["queues"]] == ["4/10"]


def test_money_shows_four_figures_and_charts_by_currency(staff_client):
    make_invoice(amount="10", state="finalized", due_at=timezone.now() - timedelta(days=40))
    Invoice.objects.create(
        customer=make_customer(),
        kind="one_off",
        state="finalized",
        number="INV-NOW",
        computed_at=timezone.now(),
        finalized_at=timezone.now(),
        currency="EUR",
        subtotal="7",
        total="7",
        amount_due="7",
    )
    response = staff_client.get(reverse("admin:billing_home_money"))
    assert [(tile.name, tile.amounts) for tile in response.context_data["tiles"]] == [
        ("Invoiced this month", ["€7.00"]),
        ("Open", ["€7.00", "$10.00"]),
        ("Overdue", ["$10.00"]),
        ("Upcoming", []),
    ]
    [euros, dollars] = response.context_data["aging"]
    assert (euros.tab, euros.rows[0]) == ("EUR", ("Not due yet", euros.links[0], [("€7.00", "")]))
    assert dollars.rows[2][2] == [("$10.00", "")]


def test_the_company_of_the_books_is_named_above_the_sidebar(staff_client, settings):
    assert f"> {settings.COMPANY_NAME} <" in " ".join(staff_client.get("/admin/").content.decode().split())
    CompanyProfile.objects.create(name="Larkspur AI GmbH")
    page = staff_client.get("/admin/").content.decode()
    assert "Larkspur AI GmbH" in page
    assert settings.COMPANY_NAME not in page


def test_roles_see_only_permitted_figures():
    make_invoice()
    operations = client_of("Operations").get("/admin/").content.decode()
    assert "all events are counted" in operations
    client = Client()
    client.force_login(make_user())
    page = client.get("/admin/").content.decode()
    assert "all events are counted" not in page
    assert "Calculating revenue" not in page
    assert client.get(reverse("admin:billing_home_money")).status_code == 403


# --- the sidebar -------------------------------------------------------------------------------------


def test_sidebar_lists_every_page(staff_user):
    shown = {
        section["title"]: [item["title"] for item in section["items"]] for section in navigation(request_of(staff_user))
    }
    assert shown == {section.title: [item.title for item in section.items] for section in SECTIONS}
    assert list(shown) == ["", "Customers", "Product Catalog", "Usage Tracking", "Billing", "Settings"]


def test_every_sidebar_page_opens(staff_client, staff_user):
    for section in navigation(request_of(staff_user)):
        for item in section["items"]:
            assert staff_client.get(item["link"], follow=True).status_code == 200, item["title"]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/admin/", "Home"),
        ("/admin/events/event/", "Events dashboard"),
        ("/admin/events/event/5/change/", "Events dashboard"),
        ("/admin/events/inboxevent/", "Events dashboard"),
        ("/admin/events/problem/causes/", "Problems"),
        ("/admin/events/problem/", "Problems"),
        ("/admin/auth/user/", "Staff"),
    ],
)
def test_open_page_is_marked(staff_user, path, title):
    items = [item for section in navigation(request_of(staff_user, path)) for item in section["items"]]
    assert [item["title"] for item in items if item["active"]] == [title]


def test_sidebar_lists_only_permitted_pages():
    user = make_user()
    user.groups.add(Group.objects.get(name="Viewer"))
    titles = [item["title"] for section in navigation(request_of(user)) for item in section["items"]]
    assert "Invoices" in titles
    assert "Staff" not in titles
    assert [section["title"] for section in navigation(request_of(make_user()))] == [""]


def test_badges_count_waiting_work_in_one_query(staff_user, django_assert_num_queries):
    make_customer(external_id="acme")
    send("wrong")
    process()
    make_invoice()
    request = request_of(staff_user)
    with django_assert_num_queries(1):
        items = [item for section in navigation(request) for item in section["items"]]
    assert {item["title"]: item["badge"] for item in items if "badge" in item} == {"Problems": "1", "Review": "1"}


@pytest.mark.parametrize(
    ("role", "opened"),
    [
        ("Finance", ["Customers", "Billing"]),
        ("Operations", ["Customers", "Product Catalog", "Usage Tracking"]),
        ("Owner", ["Customers", "Product Catalog", "Usage Tracking", "Billing"]),
        ("Viewer", ["Customers", "Product Catalog", "Usage Tracking", "Billing"]),
    ],
)
def test_sections_of_the_role_are_open_and_settings_folded(role, opened):
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    sections = navigation(request_of(user))
    assert [section["title"] for section in sections if section["is_open"] and section["title"]] == opened
    assert not sections[-1]["is_open"]


def test_settings_are_folded_for_a_superuser_too(staff_user):
    assert [section["title"] for section in navigation(request_of(staff_user)) if section["is_open"]] == [
        "Customers",
        "Product Catalog",
        "Usage Tracking",
        "Billing",
    ]


def test_a_folded_section_shows_that_work_is_waiting(staff_user):
    make_invoice()
    sections = {section["title"]: section for section in navigation(request_of(staff_user, "/admin/auth/user/"))}
    assert (sections["Billing"]["alert"], sections["Customers"]["alert"]) == ("warning", "")
    assert sections["Settings"]["is_active"]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/admin/customers/customer/", "Customers · Countinghouse"),
        ("/admin/auditlog/logentry/", "Change log · Countinghouse"),
        ("/admin/django_celery_beat/periodictask/", "Schedules · Countinghouse"),
        ("/admin/auth/user/", "Staff · Countinghouse"),
        ("/admin/billing/latepolicy/1/change/", "Late usage policy · Countinghouse"),
        ("/admin/billing/invoice/upcoming/", "Upcoming · Countinghouse"),
        ("/admin/billing/invoice/review/", "Review · Countinghouse"),
        ("/admin/billing/invoice/aging/", "Receivables · Countinghouse"),
        ("/admin/billing/invoice/month-end/?month=2026-09", "September 2026 · Month end · Countinghouse"),
        ("/admin/", "Home · Countinghouse"),
    ],
)
def test_titles_use_the_names_of_the_sidebar(staff_client, path, title):
    page = staff_client.get(path).content.decode()
    assert " ".join(re.search(r"<title>(.*?)</title>", page, re.S)[1].split()) == title
    assert "Select " not in re.search(r"<h1[^>]*>(.*?)</h1>", page, re.S)[1]


@pytest.mark.parametrize(
    ("path", "count"),
    [("auth/user", "1 colleague"), ("auth/group", "5 roles"), ("customers/customer", "1 customer")],
)
def test_a_list_says_how_many_rows_it_has_in_the_sidebars_words(staff_client, path, count):
    make_customer()
    page = text_of(staff_client.get(f"/admin/{path}/"))
    assert count in page
    assert "Show all" not in page  # of a list without a search or a filter, all rows are shown
    assert "0 results Show all" in text_of(staff_client.get(f"/admin/{path}/?q=nothing+like+it"))


def test_an_objects_page_is_named_after_the_object(staff_client):
    customer = make_customer(name="Acme GmbH")
    page = " ".join(staff_client.get(f"/admin/customers/customer/{customer.pk}/change/").content.decode().split())
    assert f"<title> {customer} · Customers · Countinghouse</title>" in page
    assert f'<h1 class="ch-crumb">{customer}</h1>' in page


@pytest.mark.parametrize(("count", "written"), [(0, "0"), (99, "99"), (100, "99+"), (101, "99+")])
def test_capped_count_has_a_plus(count, written):
    assert capped(count, 100) == written


# --- the search --------------------------------------------------------------------------------------


def test_search_finds_names_ids_and_complete_event_ids(staff_user):
    make_customer(external_id="cust_Nord", name="Nordwind")
    make_feature(name="North calls", event_name="api.calls")
    send("api.calls", customer="cust_Nord", event_id="Evt-1")
    process()

    def titles(term):
        return [result.title for result in find(request_of(staff_user), term)]

    assert titles("nor") == ["Nordwind", "North calls"]
    assert titles("cust_nord") == ["Nordwind"]
    assert titles("Evt-1") == ["Evt-1"]
    assert titles("Evt") == []
    assert titles("") == []


def test_search_finds_pages_and_actions_by_the_words_staff_use(staff_user):
    def titles(term):
        return [result.title for result in find(request_of(staff_user), term)]

    assert titles("billing r") == ["Billing runs", "Run billing"]
    assert titles("record payment") == ["Record payment"]
    assert titles("invite") == ["Add colleague"]
    assert titles("receivables") == ["Receivables"]


@pytest.mark.parametrize("term", ["INV-000042", "000042", "42", "inv-0000", "1234.5", "$1,234.50", "1234.50 USD"])
def test_search_finds_invoices_by_part_of_the_number_and_by_amount(staff_user, term):
    make_invoice(
        amount="1234.50", state="finalized", number="INV-000042", customer=make_customer(name="Acme", external_id="a")
    )
    make_invoice(amount="7", state="finalized", number="X-1", customer=make_customer(name="Birch", external_id="b"))
    results = find(request_of(staff_user), term)
    assert [(result.title, result.description) for result in results] == [
        ("INV-000042", "Invoice · Acme · 1,234.5 · USD · Finalized")
    ]


def test_search_finds_staff_by_name(staff_user):
    make_user(username="mia@larkspur.example", first_name="Mia", last_name="Berg")
    assert [result.description for result in find(request_of(staff_user), "berg")] == ["Staff · Mia Berg"]


def test_search_offers_only_permitted_pages_and_actions():
    viewer = make_user()
    viewer.groups.add(Group.objects.get(name="Viewer"))
    assert [result.title for result in find(request_of(viewer), "billing")] == ["Billing runs"]
    assert find(request_of(make_user()), "billing") == []


def test_search_sees_changes_at_once(staff_client):
    assert "Nordwind" not in staff_client.get(reverse("admin:search"), {"s": "nordw"}).content.decode()
    make_customer(name="Nordwind")
    assert "Nordwind" in staff_client.get(reverse("admin:search"), {"s": "nordw"}).content.decode()


def test_search_page_shows_results(staff_client):
    make_customer(name="Nordwind")
    assert "Nordwind" in staff_client.get(reverse("admin:search"), {"s": "nordw"}).content.decode()


@pytest.mark.parametrize(
    ("words", "action"),
    [
        ("why is usage missing", "Fix problems"),
        ("void an invoice", "Void or reissue invoice"),
        ("purchase order", "Edit draft"),
        ("upgrade the plan", "Change subscription"),
        ("price increase", "Change prices"),
        ("waive late usage", "Decide on late usage"),
        ("rotate key", "Rotate API key"),
        ("export to excel", "Export invoices"),
    ],
)
def test_search_finds_actions_by_the_words_staff_use(staff_user, words, action):
    assert action in [result.title for result in find(request_of(staff_user), words)]
    assert find(request_of(make_user()), words) == []


def test_search_finds_only_permitted_objects():
    make_customer(name="Nordwind")
    assert find(request_of(make_user()), "nord") == []


# --- how things are written --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "written"),
    [
        (0.44, "0.4 s"),
        (12.9, "12 s"),
        (99.9, "99 s"),
        (100, "1 min"),
        (5_999, "99 min"),
        (7_200, "2 h"),
        (200_000, "2 days"),
    ],
)
def test_durations_are_rounded_to_one_unit(span, written):
    assert seconds(span) == written


@pytest.mark.parametrize(("text", "title"), [("problems", "Problems"), ("evt_1", "evt_1"), ("API keys", "API keys")])
def test_ids_in_titles_keep_their_case(text, title):
    assert as_title(text) == title
