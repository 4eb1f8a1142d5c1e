"""The reconciliation of a month adds up to the event, for hand-made cases and for any history."""

import csv
import html
import re
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.lifecycle.finalize import finalize_due
from billing.models import CompanyProfile, MonthReconciliation
from billing.month_end.months import Month
from billing.month_end.reconciliation import (
    company_month,
    latest_reconciliation,
    month_of,
    reconcile_month,
    save_reconciliation,
)
from catalog.models import Feature
from customers.models import CustomerAlias
from events.ledger.voiding import dismiss, void_event
from events.models import Event, EventState, Problem, RefusedRequest
from tests.admin_pages import text_of
from tests.api import Api
from tests.billing.late import arrive, arrive_many
from tests.billing.world import D, bill, utc
from tests.config.change_log.tampering import tamper
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
USED = utc(2026, 9, 20, 9)
MONTH = Month.named("2026-09")
PAGE = "/admin/billing/invoice/reconciliation/"
NUMBER = re.compile(r'<a class="ch-link" href="([^"]+)">([\d,]+)</a>')


@pytest.fixture
def calls():
    return make_feature(name="API calls")


@pytest.fixture
def acme(calls):
    """Subscribe Acme to calls at $1.00 from 1 September."""
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    customer = make_customer(name="Acme", external_id="acme")
    make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER)
    return customer


def reconcile(**scope):
    return reconcile_month(MONTH, now=OCTOBER, **scope)


def outcomes(statement):
    return {str(outcome): events for outcome, events in statement.outcomes.items()}


def totals(statement):
    return {status.name: events for status, events in statement.totals().items()}


def test_every_received_event_has_one_outcome(acme):
    voided = arrive_many(3, USED)[0]
    void_event(Event.objects.get(event_id=voided), reason="A test", by=None, now=OCTOBER)
    arrive(USED, customer="nobody")
    arrive(USED, event_name="unknown.calls")
    send(at=USED, event_id="twice")
    send(at=USED, event_id="twice", received_at=USED)
    process()
    send(at=USED)
    RefusedRequest.objects.create(
        status=400, reason="bad_request", path="/v1/events", minute=USED, last_at=USED, count=2
    )
    statement = reconcile()
    duplicate = {"duplicate": 1} if "duplicate" in outcomes(statement) else {}
    assert outcomes(statement) == {"counted": 3, "problem": 2, "voided": 1, **duplicate, "refused": 2, "waiting": 1}
    assert (statement.received, statement.unexplained, statement.closes) == (9 + len(duplicate), 0, True)


def test_counted_events_have_one_billing_status(acme):
    arrive_many(4, USED)
    assert totals(reconcile()) == {"DUE": 4}
    bill(OCTOBER)
    assert totals(reconcile()) == {"DRAFT": 4}
    finalize_due(now=utc(2026, 10, 20))
    statement = reconcile()
    assert (totals(statement), statement.counted, statement.unassigned) == ({"INVOICED": 4}, 4, 0)


def test_usage_within_the_free_units_is_free_not_billed(calls):
    plan = make_version({"feature": calls, "unit_amount": D(1)}, free_units={calls: 10}, now=SEPTEMBER)
    make_subscription(customer=make_customer(external_id="acme"), plan=plan, starts_at=SEPTEMBER)
    arrive_many(4, USED)
    bill(OCTOBER)
    finalize_due(now=utc(2026, 10, 20))
    assert totals(reconcile()) == {"FREE_UNITS": 4}


def test_usage_without_a_price_is_unbilled(acme):
    make_feature(name="Tokens", event_name="tokens")
    arrive_many(2, USED, event_name="tokens")
    arrive_many(3, utc(2026, 8, 31, 23))
    assert totals(reconcile()) == {"NO_PRICE": 2}


def test_one_customer_and_one_feature(acme, calls):
    tokens = make_feature(name="Tokens", event_name="tokens")
    make_customer(external_id="globex")
    arrive_many(2, USED)
    arrive_many(3, USED, customer="globex")
    arrive_many(1, USED, event_name="tokens")
    assert (reconcile().received, reconcile(customer=acme).received) == (6, 3)
    statement = reconcile(customer=acme, feature=calls)
    assert (outcomes(statement), totals(statement), statement.closes) == ({"counted": 2}, {"DUE": 2}, True)
    assert outcomes(reconcile(feature=tokens)) == {"counted": 1}


def test_a_filter_sends_events_to_another_feature(acme, calls):
    fast = make_feature(name="Fast calls", filters={"tier": ["fast"]})
    arrive(USED, tier="fast")
    arrive(USED, tier="slow")
    statement = reconcile(feature=fast)
    assert (outcomes(statement), statement.counted) == ({"counted": 1, "other_feature": 1}, 1)


def test_the_month_is_that_of_the_companys_time_zone(acme):
    CompanyProfile.objects.create(name="Larkspur", timezone="Asia/Kolkata")
    arrive(utc(2026, 8, 31, 18, 29), utc(2026, 8, 31, 18, 30), utc(2026, 9, 30, 18, 29), utc(2026, 9, 30, 18, 30))
    statement = reconcile()
    assert statement.period == company_month(MONTH, "Asia/Kolkata")
    assert (statement.received, statement.counted, statement.closes) == (2, 2, True)
    assert str(month_of(utc(2026, 9, 30, 18, 30))) == "2026-10"


def test_an_event_whose_problem_was_deleted_is_not_explained(acme):
    arrive(USED, customer="nobody")
    tamper("DELETE FROM events_problem")
    statement = reconcile()
    assert (statement.received, statement.unexplained, statement.closes) == (1, 1, False)


def test_a_kept_reconciliation_is_read_again(acme):
    arrive_many(4, USED)
    statement = reconcile()
    save_reconciliation(statement)
    save_reconciliation(statement)
    assert MonthReconciliation.objects.get().figures["received"] == 4
    assert latest_reconciliation(MONTH, now=OCTOBER) == statement


def linked_numbers(client, address):
    """Return each number of the page that is a link, with its address."""
    page = client.get(address).content.decode()
    return [(int(text.replace(",", "")), html.unescape(url)) for url, text in NUMBER.findall(page)]


def count_entries(client, address):
    """Count what a list shows. Duplicates and refused requests are rows that say how often.

    The list of all received events is that of the ledger, and names the others.
    """
    if "/reconciliation/events/" in address:
        others = sum(count_entries(client, url) for _, url in client.get(address).context["elsewhere"])
        return others + len(list(csv.DictReader(content_of(client.get(f"{address}&format=csv")).splitlines())))
    rows = client.get(address).context["cl"].result_list
    return sum(getattr(row, "count", 1) for row in rows)


@pytest.fixture
def everything(acme, calls):
    """Let an event of September have each outcome, and usage have several billing statuses."""
    CustomerAlias.objects.create(customer=acme, alias="acme-old")
    make_feature(name="Slow calls", filters={"tier": ["slow"]})
    make_feature(name="Tokens", field="n")
    make_customer(external_id="globex")
    arrive_many(3, utc(2026, 9, 10), tier="slow", n=1)
    arrive_many(2, utc(2026, 9, 11), customer="acme-old", n=2)
    arrive(USED, n="x")
    arrive(USED, customer="globex", n=3)
    bill(OCTOBER)
    finalize_due(now=utc(2026, 10, 20))
    arrive(USED, n=4)
    arrive(USED, customer="nobody")
    arrive(USED, event_name="unknown.calls", customer="acme-old")
    for event_id, void in zip(arrive_many(2, USED, n=5), (True, False), strict=True):
        if void:
            void_event(Event.objects.get(event_id=event_id), reason="A test", by=None, now=OCTOBER)
    dismissed = arrive(USED, event_name="known.calls")
    dismiss(Problem.objects.filter(event__event_id__in=dismissed).values_list("pk", flat=True), reason="-", now=OCTOBER)
    for n in (1, 1, 1, 2):
        send(at=USED, event_id="twice", received_at=USED, n=n, customer="acme-old")
    process()
    RefusedRequest.objects.create(
        status=400, reason="bad_request", path="/v1/events", minute=USED, last_at=USED, count=2
    )
    for at in (USED, OCTOBER):
        send(at=at, customer="acme-old")
    return acme


@pytest.mark.parametrize("is_of_customer", [False, True])
@pytest.mark.parametrize("name", ["", "API calls", "Slow calls", "Tokens"])
def test_every_number_leads_to_a_list_of_as_many_entries(everything, staff_client, is_of_customer, name):
    customer = "&external_id=acme" if is_of_customer else ""
    feature = f"&feature={Feature.objects.get(name=name).pk}" if name else ""
    numbers = linked_numbers(staff_client, f"{PAGE}?month=2026-09{customer}{feature}")
    assert [(count_entries(staff_client, url), url) for _, url in numbers] == numbers
    assert len(numbers) >= 4
    if not name and not is_of_customer:
        rows = {url.partition("row=")[2] for _, url in numbers}
        assert rows >= {
            "received",
            "usage",
            "counted",
            "partly",
            "problem",
            "voided",
            "dismissed",
            "invoiced",
            "no_subscription",
        }


def test_the_list_of_a_row_names_its_events_and_has_a_next_step(everything, staff_client):
    address = f"{PAGE}events/?month=2026-09&external_id=acme&row=invoiced"
    page = text_of(staff_client.get(address))
    assert "On a finalized invoice Events of September 2026 of" in page
    assert "API calls" in page
    assert staff_client.get(f"{PAGE}events/?month=2026-09&row=nothing").status_code == 404
    assert staff_client.get(f"{PAGE}events/?month=x&row=counted").status_code == 404
    assert staff_client.get(f"{PAGE}events/?month=2026-09&row=counted&external_id=no").status_code == 404
    assert "No event of the ledger is in this row" in text_of(
        staff_client.get(f"{PAGE}events/?month=2026-07&row=counted")
    )


def test_the_page_says_what_is_wrong_with_its_address(acme, calls, staff_client):
    text = text_of(staff_client.get(f"{PAGE}?month=2026-09&external_id=acme&feature={calls.pk}"))
    assert "Events of the ledger that count = stored usage" in text
    assert "There is no customer nobody" in text_of(staff_client.get(f"{PAGE}?month=2026-09&external_id=nobody"))
    assert "Enter the month as 2026-09" in text_of(staff_client.get(f"{PAGE}?month=x"))


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_the_page_is_a_file_too(acme, staff_client, file_format):
    arrive_many(4, USED)
    response = staff_client.get(f"{PAGE}?month=2026-09&format={file_format}")
    assert response.status_code == 200
    if file_format == "csv":
        assert "2026-09,UTC,Received,,Counted,4" in content_of(response)


def content_of(response):
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode("utf-8-sig")


def test_the_api_returns_the_same_figures(acme, calls):
    arrive_many(4, USED)
    body = Api().get(f"reconciliations/2026-09?external_customer_id=acme&feature_id={calls.public_id}")
    assert (body["received"], body["counted"], body["closes"]) == (4, 4, True)
    assert body["outcomes"] == [{"outcome": "counted", "message": "Counted", "events": 4, "row": "counted"}]


def test_the_api_lists_the_events_of_every_number(everything):
    api = Api()
    body = api.get("reconciliations/2026-09?external_customer_id=acme")
    address = "reconciliations/2026-09/events?external_customer_id=acme&limit=1000"
    in_ledger = [outcome for outcome in body["outcomes"] if outcome["row"]]
    received = sum(outcome["events"] for outcome in in_ledger)
    numbers = [("received", received), ("usage", body["counted"])]
    numbers += [(outcome["row"], outcome["events"]) for outcome in in_ledger]
    numbers += [(f"{line['row']}&feature_id={line['feature_id']}", line["events"]) for line in body["usage"]]
    assert [(row, len(api.get(f"{address}&row={row}")["items"])) for row, _ in numbers] == numbers
    assert len(numbers) > 8


def test_the_api_lists_events_page_by_page(acme, calls):
    sent = arrive_many(3, USED)
    pages = [Api().get(f"reconciliations/2026-09/events?row=due&limit=2&offset={offset}") for offset in (0, 2)]
    assert [(len(page["items"]), page["has_more"]) for page in pages] == [(2, True), (1, False)]
    assert {item["event_id"] for page in pages for item in page["items"]} == set(sent)
    assert pages[1]["items"][0]["feature_id"] == calls.public_id
    assert Api().get("reconciliations/2026-09/events?row=nothing", 400)["error"]


STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 29), st.sampled_from(["acme", "globex", "nobody"])),
    st.tuples(st.just("send"), st.integers(0, 29), st.sampled_from(["acme", "globex"])),
    st.tuples(st.just("send_wrong"), st.integers(0, 29)),
    st.tuples(st.sampled_from(["send_again", "void", "dismiss", "process", "bill", "finalize", "refuse"])),
)


class Story:
    """September, in which anything happens."""

    def __init__(self):
        self.ids = []

    def send(self, day, customer):
        self.ids.append(send(customer=customer, at=SEPTEMBER + timedelta(days=day, hours=5), n=1))

    def send_wrong(self, day):
        send("tokens", customer="acme", at=SEPTEMBER + timedelta(days=day), n="x")

    def send_again(self):
        if self.ids:
            send(event_id=self.ids[-1], at=USED, n=2)

    def void(self):
        event = Event.objects.exclude(state=EventState.VOIDED).order_by("pk").first()
        if event is not None:
            void_event(event, reason="Wrong", by=None, now=OCTOBER)

    def dismiss(self):
        problems = Problem.objects.filter(state=1).order_by("pk")[:1]
        dismiss([problem.pk for problem in problems], reason="Known", now=OCTOBER)

    def process(self):
        process()

    def bill(self):
        bill(OCTOBER)

    def finalize(self):
        finalize_due(now=utc(2026, 10, 20))

    def refuse(self):
        number = RefusedRequest.objects.count()
        RefusedRequest.objects.create(
            status=400, reason="bad_request", path="/v1/events", message=f"{number}", minute=USED, last_at=USED
        )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=5, max_size=30), st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]))
def test_any_history_adds_up_to_the_event(steps, zone):
    with transaction.atomic():
        CompanyProfile.objects.create(name="Larkspur", timezone=zone)
        calls = make_feature(name="API calls")
        make_feature(name="Tokens", event_name="tokens", field="n")
        plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
        make_subscription(customer=make_customer(external_id="acme"), plan=plan, starts_at=SEPTEMBER)
        make_customer(external_id="globex")
        story = Story()
        for name, *arguments in steps:
            getattr(story, name)(*arguments)
        for month in (MONTH.previous, MONTH, MONTH.next):
            statement = reconcile_month(month, now=OCTOBER)
            assert (statement.unexplained, statement.unassigned) == (0, 0)
            assert reconcile_month(month, now=OCTOBER, feature=calls).closes
        transaction.set_rollback(True)
