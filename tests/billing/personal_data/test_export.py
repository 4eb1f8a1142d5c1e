"""The export contains everything that is stored about a customer, and is written in parts."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice
from billing.personal_data.export import BYTES, export_personal_data
from config.personal_data.tables import TABLES
from tests.billing.personal_data.anna import EMAIL, MARCH, NAME, STREET, TAX_ID, erase, make_anna
from tests.events.senders import process, send
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return make_anna()


def export(customer):
    return json.loads(b"".join(export_personal_data(customer, now=MARCH)))


def test_the_export_has_every_table_of_the_list(anna):
    content = export(anna)
    assert (content["customer_id"], content["exported_at"]) == (anna.public_id, "2026-03-01T00:00:00Z")
    assert {table.label for table in TABLES} <= set(content["data"])


def test_the_export_contains_what_is_stored_about_the_customer(anna):
    data = export(anna)["data"]
    (customer,) = data["customers.customer"]
    assert (customer["name"], customer["email"]) == (NAME, EMAIL)
    assert (customer["address_line1"], customer["tax_id"], customer["metadata"]) == (
        STREET,
        TAX_ID,
        {"phone": "555-0199"},
    )
    assert data["customers.customeralias"][0]["alias"] == "anna-old"
    assert data["customers.subscription"][0]["metadata"] == {"seller": "Ms Miller's friend"}
    assert [event["event_id"] for event in data["events.event"]] == ["chat-1", "chat-2", "chat-3"]
    assert data["events.event"][0]["properties"]["prompt"] == f"Hi {NAME}"
    assert data["billing.payment"][0]["note"] == "by Ms Miller"
    assert {grant["reason"] for grant in data["billing.creditgrant"]} == {"Birthday of Ms Miller"}
    invoice = Invoice.objects.get(total__gt=0)
    assert {"number": invoice.number, "pdf": f"/v1/invoices/{invoice.public_id}/pdf"} in data["documents"]
    assert any(NAME in message["body"] for message in data["webhook_messages"])


def test_the_export_reads_the_change_log_in_the_clear(anna):
    changes = export(anna)["data"]["change_log"]
    (created,) = [entry for entry in changes if entry["object"] == "customers.customer"][:1]
    assert (created["name"], created["changes"]["email"]) == (NAME, [None, EMAIL])
    assert "Ms Miller called" in {entry["reason"] for entry in changes}


def test_the_export_has_nothing_of_others(anna):
    ben = make_customer(name="Ben Smith", external_id="ben")
    send("chat", customer="ben", event_id="of-ben", model="small")
    process()
    assert "of-ben" not in json.dumps(export(anna))
    assert NAME not in json.dumps(export(ben))


def test_a_long_history_is_written_in_parts_of_64_kib(anna):
    for number in range(200):
        send("chat", customer=anna.external_id, event_id=f"long-{number}", prompt="x" * 1000)
    process()
    parts = list(export_personal_data(anna, now=MARCH))
    assert max(map(len, parts)) < BYTES + 2_000
    assert sum(map(len, parts)) > 200_000


def test_rows_are_read_in_pages_of_one_statement_each(anna, monkeypatch):
    whole = export(anna)
    monkeypatch.setattr("billing.personal_data.export.AT_ONCE", 2)
    monkeypatch.setattr("billing.personal_data.messages.CHUNK", 2)
    with CaptureQueriesContext(connection) as queries:
        assert export(anna) == whole
    pages = [query["sql"] for query in queries if 'FROM "events_event"' in query["sql"]]
    assert [page.endswith("LIMIT 2") for page in pages] == [True] * 3  # two events, one, and none


def test_after_the_erasure_the_export_has_only_what_is_kept(anna):
    erase(anna)
    data = export(anna)["data"]
    assert data["customers.customer"][0]["name"] == "Erased"
    assert {entry["name"] for entry in data["change_log"] if entry["object"] == "customers.customer"} == {"erased"}
    assert [invoice["billed_to"]["name"] for invoice in data["billing.invoice"] if invoice["number"]] == [NAME]
