"""Erasing a customer's personal data leaves nothing of it but what the law requires, and keeps usage provable."""

import re

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import Error, connection, transaction

from billing.explanation.proof import prove
from billing.lifecycle.finalize import finalize
from billing.models import CompanyProfile, Invoice
from billing.models.company import save_profile
from billing.personal_data import steps
from billing.personal_data.erasing import (
    ErasureRefused,
    continue_erasure,
    erase_later_data,
    find_erasure,
    start_erasure,
)
from billing.personal_data.retention import kept_until
from billing.settlement.payments import Receipt, record_payment
from config.api.models import KeptAnswer
from config.approvals.kinds import ApprovalKind
from config.approvals.people import Person
from config.approvals.requests import approve
from config.change_log.copying import read_entries
from config.change_log.sealing import seal_entries
from config.change_log.verifying import verify
from config.office.history import change_of
from config.personal_data.models import PersonalDataErasure, PersonalKey
from config.refusals import ReasonRequired
from config.webhooks.models import WebhookDelivery, WebhookMessage
from customers.accounts import PersonalDataIsErased, activate_customer, map_external_id, save_customer
from events.ledger.rebuilding import Scope, compare
from events.models import Event, MendingRun, UniqueValue
from tests.approving import colleague, requested, require
from tests.billing.invoices import make_draft, make_finalized
from tests.billing.personal_data.anna import (
    EMAIL,
    KEPT_TABLES,
    MARCH,
    NAME,
    PERSONAL,
    REASON,
    STREET,
    erase,
    find_personal,
    make_anna,
)
from tests.billing.world import D, utc
from tests.events.senders import ledger, process, send
from tests.factories import make_customer, make_subscription, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return make_anna()


def finish():
    while continue_erasure(now=MARCH):
        pass


def usage_lines():
    return {line.feature.name: line for line in Invoice.objects.get(total__gt=0).lines.filter(kind="usage")}


def test_before_the_erasure_personal_data_is_in_many_tables(anna):
    found = find_personal(*PERSONAL)
    assert {
        *("customers_customer", "customers_customeralias", "customers_subscription", "customers_subscriptionphase"),
        *("events_event", "events_uniquevalue", "billing_invoice", "billing_payment", "billing_wallet"),
        *("billing_creditgrant", "billing_walletentry", "config_webhookmessage"),
    } <= set(found)


def test_no_table_contains_the_name_email_or_address_except_kept_documents(anna):
    KeptAnswer.objects.create(
        caller_id=1, key="k", fingerprint="f", status=200, body=f'{{"id":"{anna.public_id}","name":"{NAME}"}}'.encode()
    )
    erase(anna)
    found = find_personal(*PERSONAL)
    assert set(found) <= KEPT_TABLES
    assert found["billing_payment"] == 1


def test_the_years_are_a_setting_of_the_company(anna):
    save_profile({"retention_years": 6}, by=None)
    assert kept_until(anna.pk).isoformat() == "2033-01-01"
    with pytest.raises(ValidationError):
        save_profile({"retention_years": 0}, by=None)
    assert CompanyProfile.current().retention_years == 6


def test_usage_can_still_be_recounted_and_proven(anna):
    erase(anna)
    lines = usage_lines()
    # Three calls, two users, 10 + 20 + 30 tokens.
    assert {name: (line.quantity, line.amount) for name, line in lines.items()} == {
        "Calls": (D(3), D("1.50")),
        "Users": (D(2), D("1.00")),
        "Tokens": (D(60), D("30.00")),
    }
    assert all(prove(line).agrees for line in lines.values())
    assert list(compare(Scope(customer_id=anna.pk))) == []


def test_an_event_keeps_only_what_usage_is_counted_from(anna):
    erase(anna)
    first, second, third = (ledger(f"chat-{number}") for number in (1, 2, 3))
    user = first.properties["user"]["email"]
    assert first.properties == {"model": "small", "tokens": 10, "user": {"email": user}}
    assert user.startswith("erased-")
    assert second.properties["user"]["email"] == user != third.properties["user"]["email"]
    assert (first.external_customer_id, second.external_customer_id) == ("cust-4711", "cust-4711")
    assert set(UniqueValue.objects.values_list("value", flat=True)) == {user, third.properties["user"]["email"]}


def test_the_chain_of_the_change_log_still_verifies_and_its_entries_read_erased(anna):
    created = LogEntry.objects.get_for_object(anna).earliest("pk")
    assert NAME in {edit.after for edit in change_of(created).edits}
    before = verify()
    erase(anna)
    seal_entries()
    after = verify()
    assert (before.problem, after.problem) == ("", "")
    assert verify(before.anchor).problem == ""
    created = LogEntry.objects.get(pk=created.pk)
    values = {edit.field: edit.after for edit in change_of(created).edits}
    assert (values["name"], values["email"], values["time zone"]) == ("erased", "erased", "UTC")
    assert created.object_repr == "erased"


def test_another_system_never_gets_personal_data_of_the_change_log(anna):
    assert not any(NAME in str(entry) or STREET in str(entry) for entry in read_entries(after=0, most=1000))
    erase(anna)
    entries = read_entries(after=0, most=1000)
    (created,) = [
        entry for entry in entries if entry["object"]["type"] == "customers.customer" and entry["action"] == "create"
    ]
    assert (created["object"]["name"], created["changes"]["email"]) == ("erased", [None, "erased"])


def test_other_customers_keep_their_data(anna):
    ben = save_customer(make_customer(name="Ben Smith", email="ben@example.org"), by=None)
    erase(anna)
    ben.refresh_from_db()
    assert (ben.name, ben.email) == ("Ben Smith", "ben@example.org")
    assert PersonalKey.objects.filter(customer_id=ben.pk).exists()
    assert not PersonalKey.objects.filter(customer_id=anna.pk).exists()


def test_a_repeated_erasure_answers_the_same_and_changes_nothing(anna):
    first = erase(anna)
    again = erase(anna, now=utc(2026, 4, 1))
    assert (again.pk, again.started_at, again.finished_at, again.erased) == (
        first.pk,
        MARCH,
        MARCH,
        first.erased,
    )
    assert WebhookMessage.objects.filter(event_type="customer.personal_data_erased").count() == 1
    assert erase_later_data(first, now=utc(2026, 4, 1)) == 0


@pytest.mark.parametrize("last", range(len(steps.STEPS)))
def test_a_worker_killed_in_any_step_is_continued(anna, monkeypatch, last):
    """The process dies after the step did its work, before the commit."""
    killed: list[tuple[int, int | None]] = []

    def die(work):
        progress = steps.STEPS[last](work)
        if not killed:
            killed.append(progress)
            raise SystemExit
        return progress

    parts = [die if index == last else step for index, step in enumerate(steps.STEPS)]
    monkeypatch.setattr("billing.personal_data.erasing.STEPS", tuple(parts))
    start_erasure(anna, reason=REASON, now=MARCH, by=None)
    with pytest.raises(SystemExit):
        finish()
    assert find_erasure(anna).step == last
    finish()
    assert set(find_personal(*PERSONAL)) <= KEPT_TABLES


def test_events_are_erased_in_chunks(anna, monkeypatch):
    monkeypatch.setattr(steps, "EVENTS_AT_ONCE", 2)
    start_erasure(anna, reason=REASON, now=MARCH, by=None)
    continue_erasure(now=MARCH)
    assert [NAME in str(event.properties) for event in Event.objects.order_by("pk")] == [False, False, True]
    continue_erasure(now=MARCH)
    assert not any(NAME in str(event.properties) for event in Event.objects.all())


@pytest.mark.parametrize(
    ("external_id", "kept"),
    [
        ("cust-4711", True),
        ("anna.miller@example.com", False),
        ("anna-miller", False),
        ("ANNA_MILLER_2", False),
        ("commerce-17", True),
    ],
)
def test_an_external_id_that_names_the_customer_is_replaced_also_in_events(external_id, kept):
    anna = make_anna(external_id)
    erase(anna)
    anna.refresh_from_db()
    assert anna.external_id == (external_id if kept else f"erased-{anna.public_id}")
    assert set(Event.objects.values_list("external_customer_id", flat=True)) == {anna.external_id}
    assert all(prove(line).agrees for line in usage_lines().values())


def test_what_is_unfinished_refuses_the_erasure_and_is_named(anna):
    subscription = make_subscription(customer=anna)
    draft = make_draft(customer=anna)
    unpaid = make_finalized(customer=anna)
    with pytest.raises(ErasureRefused) as refusal:
        start_erasure(anna, reason=REASON, now=MARCH, by=None)
    for name in (subscription.public_id, draft.public_id, unpaid.number):
        assert name in str(refusal.value)
    anna.refresh_from_db()
    assert (anna.state, anna.erased_at) == ("active", None)


def test_prepaid_credit_refuses_the_erasure(anna):
    paid = make_finalized(customer=anna)
    record_payment(paid, Receipt(D(120), MARCH.date(), surplus_to="unapplied"), now=MARCH, by=None)
    with pytest.raises(ErasureRefused, match="Payments with an unapplied surplus"):
        start_erasure(anna, reason=REASON, now=MARCH, by=None)


def test_a_reason_is_required(anna):
    with pytest.raises(ReasonRequired):
        start_erasure(anna, reason=" ", now=MARCH, by=None)


def test_an_erased_customer_cannot_be_changed_activated_or_get_an_alias(anna):
    erase(anna)
    anna.refresh_from_db()
    anna.name = "Anna again"
    with pytest.raises(PersonalDataIsErased):
        save_customer(anna, by=None)
    with pytest.raises(PersonalDataIsErased):
        activate_customer(anna, by=None)
    with pytest.raises(PersonalDataIsErased):
        map_external_id("other", anna, by=None)


def test_the_change_log_says_who_erased_and_why(anna):
    by = make_user(first_name="Ola", last_name="Nordmann")
    erasure = erase(anna, by=by)
    entry = LogEntry.objects.get_for_object(erasure).earliest("pk")
    change = change_of(entry)
    assert (change.who, change.what, change.reason) == ("Ola Nordmann", "Created", REASON)


def test_waiting_webhooks_are_given_up_and_one_tells_of_the_erasure(anna):
    WebhookDelivery.objects.update(state="pending", next_try_at=MARCH)
    erase(anna)
    told = WebhookMessage.objects.get(event_type="customer.personal_data_erased")
    assert (told.object_id, '"kept_until":"2037-01-01"' in told.body) == (anna.public_id, True)
    states = set(WebhookDelivery.objects.exclude(message=told).values_list("state", flat=True))
    assert (states, WebhookDelivery.objects.get(message=told).state) == ({"failed"}, "pending")


def test_a_rule_makes_a_second_person_approve_the_erasure(anna):
    require(ApprovalKind.PERSONAL_DATA)
    (mia, _), (ben, _) = colleague(first_name="Mia"), colleague(first_name="Ben")
    approval = requested(lambda: start_erasure(anna, reason=REASON, now=MARCH, by=mia), now=MARCH)
    assert find_erasure(anna) is None
    assert approve(approval, by=Person(ben), now=MARCH).status == "approved"
    finish()
    approval.refresh_from_db()
    assert (approval.title, find_erasure(anna).started_by) == ("Erased", mia)


ATTACKS = [
    "SET countinghouse.erasing = 'on'; UPDATE billing_payment SET amount = 0",
    "SET countinghouse.erasing = 'on'; UPDATE billing_invoice SET memo = 'Other' WHERE number IS NOT NULL",
    "SELECT erase_personal_rows('billing.payment:kept', (SELECT max(id) FROM customers_customer))",
    "SELECT erase_personal_events((SELECT max(id) FROM customers_customer), '', 0, 10)",
    "SELECT erase_personal_rows('config.changeseal', (SELECT max(id) FROM customers_customer))",
    "SELECT destroy_personal_key((SELECT max(id) FROM customers_customer))",
    "DELETE FROM config_personalkey",
]


@pytest.mark.parametrize("statement", ATTACKS)
def test_the_application_can_erase_nothing_without_an_erasure(anna, statement):
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert NAME in str(Invoice.objects.get(total__gt=0).billed_to)
    assert PersonalKey.objects.filter(customer_id=anna.pk).exists()


def test_a_value_of_a_client_that_only_looks_erased_is_erased():
    anna = make_anna()
    send("chat", customer=anna.external_id, event_id="odd", model="small", user={"email": f"erased-{NAME}"})
    process()
    erase(anna)
    assert re.fullmatch("erased-[0-9a-f]{64}", ledger("odd").properties["user"]["email"])
    assert not UniqueValue.objects.filter(value__contains=NAME).exists()


def test_a_batch_of_problems_is_erased_only_if_it_names_the_customer(anna):
    """The other one mapped an event name that is the same word as the customer's external ID."""
    times = {"started_at": MARCH, "finished_at": MARCH, "last_event": 0, "kind": "replay"}
    own = MendingRun.objects.create(title=NAME, action="map_customer", parameters={"alias": "anna-old"}, **times)
    other = MendingRun.objects.create(
        title="Calls", action="map_event_name", parameters={"alias": "cust-4711"}, **times
    )
    erase(anna)
    own.refresh_from_db()
    other.refresh_from_db()
    assert (own.title, own.parameters, other.title) == ("Erased", {}, "Calls")


def test_an_invoice_finalized_before_is_unchanged(anna):
    invoice = Invoice.objects.get(total__gt=0)
    number, total, billed_to = invoice.number, invoice.total, invoice.billed_to
    erase(anna)
    invoice.refresh_from_db()
    assert (invoice.number, invoice.total, invoice.billed_to) == (number, total, billed_to)
    assert finalize(invoice, now=MARCH).number == number
    assert billed_to["email"] == EMAIL


def test_there_is_one_erasure_for_a_customer(anna):
    erase(anna)
    assert PersonalDataErasure.objects.count() == 1
