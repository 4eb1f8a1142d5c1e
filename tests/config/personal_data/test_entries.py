"""Personal values in the change log are encrypted with a key for each customer, and shown to staff in the clear."""

import pytest
from auditlog.models import LogEntry
from django.test import Client

from billing.settlement.payments import Receipt, record_payment
from config.audit import recorded
from config.db.encrypted import encrypt_again
from config.office.history import history_of
from config.personal_data.entries import entries_about, read_entry
from config.personal_data.keys import ERASED, destroy_key, hide, keys_of, reveal
from config.personal_data.models import PersonalDataErasure, PersonalKey
from tests.admin_pages import text_of, url
from tests.billing.invoices import later, make_finalized
from tests.billing.world import D
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return make_customer(name="Anna Miller", email="anna@example.com", metadata={"phone": "555-0199"})


def forget(customer):
    """Destroy the customer's key, as the last step of an erasure does."""
    PersonalDataErasure.objects.create(
        customer_id=customer.pk, customer_public_id=customer.public_id, reason="Ticket 17", started_at=later()
    )
    assert destroy_key(customer.pk)


def entry_of(row):
    return LogEntry.objects.get_for_object(row).earliest("pk")


def test_the_database_holds_no_personal_value_in_the_clear(anna):
    entry = entry_of(anna)
    stored = f"{entry.object_repr} {entry.changes}"
    assert "Anna" not in stored
    assert "555-0199" not in stored
    assert (entry.changes["timezone"], entry.changes["name"][0]) == ([None, "UTC"], None)


def test_staff_read_names_values_and_reasons(anna):
    anna.email = "miller@example.com"
    with recorded(by=None, reason="Ms Miller called"):
        anna.save()
    latest = history_of(anna)[0]
    assert latest.reason == "Ms Miller called"
    assert [(edit.field, edit.before, edit.after) for edit in latest.edits] == [
        ("email", "anna@example.com", "miller@example.com")
    ]


def test_without_the_key_values_read_erased_and_the_entry_stays(anna):
    forget(anna)
    entry = read_entry(entry_of(anna))
    assert (entry.object_repr, entry.changes["email"], entry.changes["timezone"]) == (
        ERASED,
        [None, ERASED],
        [None, "UTC"],
    )


def test_entries_about_rows_of_a_customer_are_found_by_the_customer(anna):
    invoice = make_finalized("100", customer=anna)
    payment = record_payment(invoice, Receipt(D(100), later().date(), note="From Anna"), now=later(), by=None)
    about = {f"{entry.content_type.model}:{entry.object_pk}" for entry in entries_about(anna.pk)}
    assert about >= {f"customer:{anna.pk}", f"invoice:{invoice.pk}", f"payment:{payment.pk}"}
    assert read_entry(entry_of(payment)).changes["note"] == [None, "From Anna"]


def test_rows_that_belong_to_no_customer_are_written_in_the_clear():
    feature = make_feature(name="Calls")
    assert (entry_of(feature).object_repr, entry_of(feature).additional_data) == ("Calls", None)


def test_each_customer_has_a_key_of_their_own(anna):
    ben = make_customer(name="Ben Smith")
    keys = keys_of([anna.pk, ben.pk])
    assert keys[anna.pk].key != keys[ben.pk].key
    assert keys_of([anna.pk, ben.pk]) == keys
    forget(anna)
    assert read_entry(entry_of(ben)).object_repr == "Ben Smith"


def test_a_key_made_after_the_erasure_reads_no_earlier_entry(anna):
    forget(anna)
    keys_of([anna.pk])
    assert read_entry(entry_of(anna)).object_repr == ERASED


def test_keys_are_encrypted_and_follow_the_secret_key(anna, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret key, long enough for a deployment"
    assert encrypt_again() >= 1
    settings.SECRET_KEY_FALLBACKS = []
    assert read_entry(entry_of(anna)).object_repr == "Anna Miller"


@pytest.mark.parametrize("value", [None, "", {}, [], "None"])
def test_empty_values_stay_empty(anna, value):
    assert hide(value, PersonalKey.objects.get().key) == value


def test_a_text_that_only_looks_encrypted_is_shown_as_it_is(anna):
    assert reveal("personal:hello", PersonalKey.objects.get().key) == "personal:hello"


def test_the_change_log_is_searched_by_the_customers_name(anna, staff_client: Client):
    make_customer(name="Ben Smith")
    text = text_of(staff_client.get(url("auditlog_logentry_changelist"), {"q": "anna mill"}))
    assert "Anna Miller" in text
    assert "Ben Smith" not in text


def test_the_change_logs_list_reads_all_keys_in_one_query(anna, staff_client: Client, django_assert_max_num_queries):
    for number in range(20):
        make_customer(name=f"Customer {number}")
    with django_assert_max_num_queries(20):
        text = text_of(staff_client.get(url("auditlog_logentry_changelist")))
    assert "Customer 19" in text
