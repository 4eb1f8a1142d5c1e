"""Bank files through the API: imported, listed with suggestions, accepted in bulk or one by one."""

from base64 import b64encode

import pytest

from billing.models import Payment
from tests.billing.invoices import make_finalized
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
ROWS = b"Date,Amount,Name,Text\n2026-10-02,100,Acme,INV-000001\n2026-10-02,50,Acme,thanks\n2026-10-03,9,Stranger,hi\n"
COLUMNS = {"date": "Date", "amount": "Amount", "payer_name": "Name", "text": "Text", "default_currency": "USD"}
BODY = {"file_name": "october.csv", "content": b64encode(ROWS).decode(), "columns": COLUMNS}


@pytest.fixture
def invoices():
    customer = make_customer(external_id="acme", name="Acme")
    return [make_finalized("100", customer=customer) for _ in range(2)]


def test_a_file_is_imported_once_and_suggestions_are_accepted_in_bulk(api, invoices):
    made = api.post("bank-imports", BODY, 201)
    assert (made["file_format"], made["entries_added"], made["entries_skipped"]) == ("csv", 3, 0)
    assert api.post("bank-imports", BODY, 201) == made
    assert [item["id"] for item in api.get("bank-imports")["items"]] == [made["id"]]
    third, second, first = api.get("bank-entries", import_id=made["id"])["items"]
    assert first["suggestion"] == {
        "customer_id": invoices[0].customer.public_id,
        "score": 100,
        "reasons": ["invoice number", "amount", "name"],
        "parts": [{"invoice_id": invoices[0].public_id, "amount": "100.00"}],
    }
    assert (second["suggestion"]["score"], third["suggestion"]) == (45, None)
    outcomes = api.post("bank-entries/accept", {})["outcomes"]
    assert [outcome["skipped"] for outcome in outcomes] == [None, "score 45", "no suggestion"]
    assert api.get(f"invoices/{invoices[0].public_id}")["payment_status"] == "SUCCEEDED"
    low = {"minimum_score": 40, "bank_entry_ids": [second["id"]]}
    assert api.post("bank-entries/accept", low)["outcomes"][0]["payment_id"]
    assert {item["id"] for item in api.get("bank-entries", entry_status="accepted")["items"]} == {
        first["id"],
        second["id"],
    }
    assert Payment.objects.filter(kind="payment").count() == 2


def test_an_entry_is_accepted_for_a_customer_dismissed_and_reopened(api, invoices):
    api.post("bank-imports", BODY, 201)
    third = api.get("bank-entries")["items"][0]
    address = f"bank-entries/{third['id']}"
    assert api.post(f"{address}/dismiss", {"reason": "Interest"})["entry_status"] == "dismissed"
    assert api.post(f"{address}/accept", {"customer_id": invoices[0].customer.public_id}, 400)["message"]
    assert api.post(f"{address}/reopen")["entry_status"] == "open"
    part = {"invoice_id": invoices[1].public_id, "amount": "9"}
    body = {"customer_id": invoices[0].customer.public_id, "applications": [part]}
    accepted = api.post(f"{address}/accept", body)
    assert api.post(f"{address}/accept", body) == accepted
    assert api.get(f"invoices/{invoices[1].public_id}")["amount_remaining"] == "91.00"
    api.post(f"payments/{accepted['payment_id']}/reverse", {"reason": "Wrong customer"})
    assert api.get(address)["entry_status"] == "open"


def test_a_wrong_file_says_what_is_wrong(api):
    assert "base64" in str(api.post("bank-imports", BODY | {"content": "ö"}, 400)["details"])
    error = api.post("bank-imports", {name: BODY[name] for name in ("file_name", "content")}, 400)
    assert "Describe the columns of this CSV file." in error["message"]
    api.get("bank-entries/bent_none", 404)
