"""Every night, what arrived about erased customers is erased, and documents that the law no longer requires."""

import threading
from datetime import UTC, datetime

import pytest
from django.db import connection, connections, transaction

from billing.models import Invoice, Payment
from billing.models.company import save_profile
from billing.personal_data.erasing import due_for_check, erase_later_data
from billing.personal_data.retention import kept_until
from events.ledger.processing import process_batch
from events.models import Event, EventVoid
from tests.billing.personal_data.anna import MARCH, NAME, PERSONAL, erase, find_personal, make_anna, send_usage
from tests.billing.world import utc
from tests.events.senders import ledger, open_reasons, send
from tests.owner import as_owner

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return make_anna()


def date_documents(at):
    """Move all documents and payments to another day, which only the owner can."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET countinghouse.erasing = 'on'")
        cursor.execute("UPDATE billing_invoice SET issued_at = %s WHERE number IS NOT NULL", [at])
        cursor.execute("UPDATE billing_payment SET recorded_at = %s", [at])
        cursor.execute("SET countinghouse.erasing = 'off'")


def test_after_ten_years_the_documents_are_erased_too(anna):
    """Documents of 2016 are erased from 1 January 2027 on, those of 2015 from 1 January 2026 on."""
    erasure, year = erase(anna), datetime.now(UTC).year
    assert kept_until(anna.pk).isoformat() == "2037-01-01"
    date_documents(utc(year - 10, 1, 1))
    erase_later_data(erasure, now=MARCH)
    assert Invoice.objects.get(total__gt=0).billed_to["name"] == NAME
    date_documents(utc(year - 11, 12, 31))
    erase_later_data(erasure, now=MARCH)
    assert find_personal(*PERSONAL) == {}
    invoice, payment = Invoice.objects.get(total__gt=0), Payment.objects.get()
    assert (invoice.billed_to, invoice.memo, payment.amount) == ({}, "", invoice.total)


def test_the_application_can_erase_no_document_early_even_with_an_erasure_of_its_own(anna):
    """It writes the erasure and the setting into the tables, past the product. A year is the least setting."""
    date_documents(utc(datetime.now(UTC).year - 1, 1, 1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_customer SET state = 'archived', archived_at = now(), erased_at = now()")
        columns = "public_id, customer_id, customer_public_id, replaces_external_id, reason, started_at"
        zeros = "step, reached, erased, last_event"
        cursor.execute(
            f"INSERT INTO config_personaldataerasure ({columns}, {zeros})"
            " SELECT 'erasure_1', id, public_id, false, 'x', now(), 0, 0, 0, 0 FROM customers_customer"
        )
        save_profile({"retention_years": 1}, by=None)
        cursor.execute("UPDATE billing_companyprofile SET retention_years = 0")
        for place in ("billing.invoice:kept", "billing.payment:kept"):
            cursor.execute("SELECT erase_personal_rows(%s, %s)", [place, anna.pk])
            assert cursor.fetchone() == (0,)
    assert Invoice.objects.get(total__gt=0).billed_to["name"] == NAME


def test_an_event_sent_for_an_erased_customer_does_not_count_and_is_erased_the_next_night(anna):
    erasure = erase(anna)
    send_usage(anna, received_at=utc(2026, 3, 2), prefix="late")
    assert open_reasons("late-1") == ["customer_archived"]
    assert open_reasons("late-2") == ["unknown_customer"]
    assert NAME in str(ledger("late-1").properties)
    assert due_for_check(now=utc(2026, 3, 3)) == [erasure]
    assert erase_later_data(erasure, now=utc(2026, 3, 3)) == 2
    assert ledger("late-1").properties["model"] == "small"
    assert NAME not in str(ledger("late-1").properties)


def test_the_text_of_a_void_or_a_dismissal_that_is_written_later_is_erased_the_next_night(anna):
    erasure = erase(anna)
    send_usage(anna, received_at=utc(2026, 3, 2), prefix="late")
    erase_later_data(erasure, now=utc(2026, 3, 3))
    EventVoid.objects.create(event=ledger("chat-1"), reason="Ms Miller asked for it", voided_at=utc(2026, 3, 3, 9))
    closed = {"state": 3, "closed_at": utc(2026, 3, 3, 9), "closing": "Ms Miller called"}
    assert ledger("late-1").problems.update(**closed) == 1
    assert erase_later_data(erasure, now=utc(2026, 3, 4)) == 2
    assert (ledger("chat-1").void.reason, ledger("late-1").problems.get().closing) == ("Erased", "Erased")


def test_an_event_of_a_batch_that_was_open_during_the_erasure_is_erased_the_next_night(anna):
    """It commits after the erasure with a lower id than other events."""
    properties = ledger("chat-1").properties
    erasure = erase(anna)
    with as_owner():
        Event.objects.filter(event_id="chat-1").update(properties=properties)
    assert erase_later_data(erasure, now=utc(2026, 3, 2)) == 1
    assert NAME not in str(ledger("chat-1").properties)


def test_a_nightly_pass_looks_through_each_customer_once(anna):
    erasure = erase(anna)
    night = utc(2026, 3, 3, 2)
    assert due_for_check(now=night) == [erasure]
    erase_later_data(erasure, now=night)
    assert due_for_check(now=night) == due_for_check(now=utc(2026, 3, 3, 21)) == []
    assert due_for_check(now=utc(2026, 3, 4, 2)) == [erasure]


@pytest.mark.django_db(transaction=True)
def test_a_nightly_pass_waits_for_a_batch_that_is_open():
    """Else the pass would note that it has seen all events up to a later one, and never look at this one."""
    anna = make_anna()
    erasure = erase(anna)
    send("chat", customer=anna.external_id, event_id="open", received_at=utc(2026, 3, 2), prompt=f"Hi {NAME}")
    counted, may_commit = threading.Event(), threading.Event()

    def batch():
        with transaction.atomic():
            process_batch()
            counted.set()
            may_commit.wait(10)
        connections.close_all()

    def nightly():
        erase_later_data(erasure, now=utc(2026, 3, 3))
        connections.close_all()

    worker, night = threading.Thread(target=batch), threading.Thread(target=nightly)
    worker.start()
    assert counted.wait(10)
    night.start()
    night.join(0.3)
    assert night.is_alive()  # it waits for the batch
    may_commit.set()
    for thread in (worker, night):
        thread.join(10)
    erasure.refresh_from_db()
    assert erasure.last_event == ledger("chat-3").pk
    assert NAME not in str(ledger("open").properties)
