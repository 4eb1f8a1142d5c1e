"""One-off invoices, payments and credit notes through the API."""

import pytest

from billing.models import CreditNote, Invoice, Payment, TaxAssignment, TaxRate, Wallet
from tests.api import Api
from tests.billing.invoices import make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make_customer(external_id="acme", name="Acme")


def order(customer, **given):
    sums = {"subtotal": "500.00", "total": "500.00", "amount_due": "500.00"}
    item = {"display_name": "Setup", "quantity": "2", "unit_amount": "250"}
    return {"customer_id": customer.public_id, "currency": "usd", "line_items": [item], **sums, **given}


def test_a_one_off_invoice_is_created_as_a_draft_once_per_key(api, acme):
    body = order(acme, idempotency_key="order-7", description="PO 7")
    made = api.post("invoices", body, 201)
    assert (made["invoice_type"], made["invoice_status"], made["total"], made["description"]) == (
        "ONE_OFF", "DRAFT", "500.00", "PO 7",
    )  # fmt: skip
    line = made["line_items"][0]
    assert (line["display_name"], line["quantity"], line["amount"]) == ("Setup", "2", "500.00")
    again = api.post("invoices", body, 201)
    api.post("invoices", order(acme, idempotency_key="order-7", description="PO 8"), 409)
    assert (again["id"], Invoice.objects.count()) == (made["id"], 1)


def test_without_items_the_subtotal_becomes_the_only_item(api, acme):
    body = order(acme, invoice_status="FINALIZED", description="Workshop", due_date="2027-01-31T00:00:00Z")
    made = api.post("invoices", body | {"line_items": []}, 201)
    assert (made["invoice_number"], made["invoice_status"]) == ("INV-000001", "FINALIZED")
    assert made["due_date"].startswith("2027-01-31")
    assert [line["display_name"] for line in made["line_items"]] == ["Workshop"]


def test_totals_that_differ_from_the_items_are_refused(api, acme):
    details = api.post("invoices", order(acme, subtotal="499.99"), 400)["details"]
    assert details == {"subtotal": ["The line items amount to $500.00."]}
    rate = TaxRate.objects.create(code="vat", name="VAT", percentage=D(19))
    TaxAssignment.objects.create(rate=rate, customer=acme)
    assert api.post("invoices", order(acme, total="600"), 400)["details"] == {
        "total": ["With taxes, the line items amount to $595.00."]
    }
    made = api.post("invoices", order(acme, total="595.00"), 201)
    assert (made["total_tax"], made["total"], Invoice.objects.count()) == ("95.00", "595.00", 1)


def test_an_invalid_one_off_invoice_is_refused(api, acme):
    assert "customer_id" in api.post("invoices", {}, 400)["details"]
    api.post("invoices", order(acme, customer_id="cust_none"), 404)
    item = {"display_name": "Setup"}
    assert "line_items[0].amount" in api.post("invoices", order(acme, line_items=[item]), 400)["details"]
    assert "isn't a currency" in api.post("invoices", order(acme, currency="XXZ"), 400)["message"]
    below = order(acme, subtotal="-5", line_items=[{"display_name": "Goodwill", "amount": "-5"}])
    assert "Mark the invoice as a credit" in api.post("invoices", below, 400)["message"]
    assert api.post("invoices", below | {"invoice_type": "CREDIT", "total": "-5"}, 201)["total"] == "-5.00"


def test_a_draft_can_be_updated_but_a_finalized_invoice_only_its_metadata(api, acme):
    made = api.post("invoices", order(acme), 201)
    path = f"invoices/{made['id']}"
    item = {"display_name": "Setup", "amount": "300"}
    changed = api.put(path, {"line_items": [item], "due_date": "2027-01-31T00:00:00Z", "metadata": {"po": "7"}})
    assert (changed["total"], changed["metadata"], changed["due_date"][:10]) == ("300.00", {"po": "7"}, "2027-01-31")
    api.post(f"{path}/finalize")
    assert api.put(path, {"metadata": {"erp": "9"}})["metadata"] == {"erp": "9"}
    assert "only its metadata" in api.put(path, {"due_date": "2027-02-01T00:00:00Z"}, 400)["message"]
    assert "can't change" in api.put(path, {"line_items": [item]}, 400)["message"]


def test_an_invoice_is_paid_in_parts_and_a_reference_is_recorded_once(api):
    path = f"invoices/{make_finalized('100').public_id}"
    part = {"payment_status": "SUCCEEDED", "amount": "40.00", "reference": "wire 7"}
    for _ in range(2):
        shown = api.put(f"{path}/payment", part)
    assert (shown["payment_status"], shown["amount_paid"], shown["amount_remaining"]) == ("PENDING", "40.00", "60.00")
    shown = api.put(f"{path}/payment", {"payment_status": "SUCCEEDED"})
    assert (shown["payment_status"], shown["amount_remaining"]) == ("SUCCEEDED", "0.00")
    assert api.put(f"{path}/payment", {"payment_status": "SUCCEEDED"})["amount_paid"] == "100.00"


def test_a_payment_is_recorded_retrieved_listed_and_reversed(api):
    invoice = make_finalized("100")
    body = {
        "amount": "40.00", "currency": "USD", "destination_type": "INVOICE", "destination_id": invoice.public_id,
        "payment_method_type": "CARD", "payment_method_id": "ch_1", "idempotency_key": "k1",
    }  # fmt: skip
    made = api.post("payments", body, 201)
    assert api.post("payments", body, 201)["id"] == made["id"]
    assert (made["amount"], made["payment_method_type"], made["payment_status"], made["invoice_number"]) == (
        "40.00", "CARD", "SUCCEEDED", "INV-000001",
    )  # fmt: skip
    assert api.get(f"payments/{made['id']}") == made
    assert "currency" in api.post("payments", body | {"currency": "EUR", "idempotency_key": "k2"}, 400)["details"]
    back = api.post(f"payments/{made['id']}/reverse", {"reason": "Bounced"})
    assert (back["amount"], back["payment_status"], back["reverses_id"]) == ("-40.00", "REFUNDED", made["id"])
    listed = api.get("payments", destination_id=invoice.public_id)
    assert [one["amount"] for one in listed["items"]] == ["-40.00", "40.00"]
    assert Payment.objects.count() == 2


def test_a_credit_note_is_created_finalized_and_voided(api):
    invoice = make_finalized("60", "40")
    line = invoice.lines.order_by("position")[0].public_id
    body = {
        "invoice_id": invoice.public_id, "reason": "BILLING_ERROR", "memo": "Counted twice",
        "line_items": [{"invoice_line_item_id": line, "amount": "25.00"}], "idempotency_key": "k1",
    }  # fmt: skip
    made = api.post("creditnotes", body, 201)
    assert (made["credit_note_status"], made["credit_note_type"], made["total_amount"], made["reason"]) == (
        "DRAFT", "ADJUSTMENT", "25.00", "BILLING_ERROR",
    )  # fmt: skip
    assert (api.post("creditnotes", body, 201)["id"], CreditNote.objects.count()) == (made["id"], 1)
    path = f"creditnotes/{made['id']}"
    done = api.post(f"{path}/finalize")
    assert (done["credit_note_number"], done["credit_note_status"]) == ("CN-000001", "FINALIZED")
    shown = api.get(f"invoices/{invoice.public_id}")
    assert (shown["adjustment_amount"], shown["amount_remaining"]) == ("25.00", "75.00")
    assert api.post(f"{path}/finalize", status=400)["code"] == "invalid_operation"
    assert api.post(f"{path}/void", {"reason": "Right after all"})["void_reason"] == "Right after all"
    assert api.get(path)["credit_note_status"] == "VOIDED"
    assert api.post("creditnotes/search", {"credit_note_status": ["VOIDED"]})["pagination"]["total"] == 1


def test_a_credit_note_without_lines_credits_the_remaining_amount(api):
    invoice = make_finalized("60", "40")
    api.put(f"invoices/{invoice.public_id}/payment", {"payment_status": "SUCCEEDED"})
    body = {"invoice_id": invoice.public_id, "reason": "DUPLICATE", "process_credit_note": True}
    made = api.post("creditnotes", body, 201)
    assert (made["credit_note_type"], made["total_amount"], made["refund_amount"]) == ("REFUND", "100.00", "100.00")
    assert Wallet.objects.get(customer=invoice.customer).balance == D(100)
    assert "at least one line" in api.post("creditnotes", body, 400)["message"]


def test_a_credit_note_for_unknown_lines_or_drafts_is_refused(api):
    invoice, other = make_finalized("60"), make_finalized("60")
    line = {"invoice_line_item_id": other.lines.get().public_id, "amount": "1"}
    body = {"invoice_id": invoice.public_id, "reason": "DUPLICATE", "line_items": [line]}
    assert "line_items[0].invoice_line_item_id" in api.post("creditnotes", body, 400)["details"]
    assert "reason" in api.post("creditnotes", {"invoice_id": invoice.public_id}, 400)["details"]
    draft = {"invoice_id": make_draft("1").public_id, "reason": "DUPLICATE"}
    assert "Only finalized invoices can be credited" in api.post("creditnotes", draft, 400)["message"]


def test_payments_and_credit_notes_require_the_billing_scope(acme):
    reader, invoice = Api("read", "customers:write"), make_finalized("1")
    for path, body in (
        ("invoices", order(acme)),
        ("payments", {}),
        ("creditnotes", {"invoice_id": invoice.public_id, "reason": "DUPLICATE"}),
    ):
        assert "billing:write" in reader.post(path, body, 403)["message"]
    reader.put(f"invoices/{invoice.public_id}", {}, 403)
    assert reader.get("payments")["items"] == []


def test_list_length_does_not_change_query_count(api, django_assert_num_queries):
    for _ in range(3):
        invoice = make_finalized("100")
        api.put(f"invoices/{invoice.public_id}/payment", {"payment_status": "SUCCEEDED", "amount": "1"})
        api.post("creditnotes", {"invoice_id": invoice.public_id, "reason": "DUPLICATE"}, 201)
    for limit in (1, 3):
        with django_assert_num_queries(2):  # the count, the payments with their invoices
            api.get("payments", limit=limit)
        with django_assert_num_queries(3):  # and the lines of the credit notes
            api.get("creditnotes", limit=limit)
