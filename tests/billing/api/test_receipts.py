"""Payments of several invoices, batches and small differences through the API."""

import pytest

from billing.models import CompanyProfile, Payment
from tests.billing.invoices import make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def invoices(customer):
    return [make_finalized("100", customer=customer) for _ in range(2)]


def body_of(customer, amount, **fields):
    return {
        "amount": amount,
        "currency": "usd",
        "destination_type": "CUSTOMER",
        "destination_id": customer.public_id,
        "payment_method_type": "BANK_TRANSFER",
    } | fields


def test_a_payment_of_a_customer_pays_several_invoices(api, customer, invoices):
    CompanyProfile.objects.create(name="Larkspur", bank_charge_limit=D(5), bank_charge_account="6855")
    first, second = (invoice.public_id for invoice in invoices)
    parts = [
        {"invoice_id": first, "amount": "100"},
        {"invoice_id": second, "amount": "97.50", "bank_charge": "2.50"},
    ]
    body = body_of(customer, "210.00", applications=parts, payment_method_id="wire 7", overpayment="unapplied")
    made = api.post("payments", body, 201)
    assert (made["destination_type"], made["destination_id"]) == ("CUSTOMER", customer.public_id)
    assert (made["amount"], made["unapplied_amount"], made["invoice_number"]) == ("210.00", "12.50", None)
    assert api.post("payments", body, 201)["id"] == made["id"]
    rows = api.get("payments", kind="adjusted")["items"]
    assert [(row["payment_method_type"], row["amount"], row["account"]) for row in rows] == [
        ("BANK_CHARGE", "2.50", "6855")
    ]
    assert rows[0]["payment_status"] == "SUCCEEDED"
    of_customer = api.get("payments", destination_type="CUSTOMER")["items"]
    assert [row["id"] for row in of_customer] == [made["id"]]
    assert api.get("payments", destination_id=customer.public_id)["items"] == of_customer
    assert {api.get(f"invoices/{key}")["payment_status"] for key in (first, second)} == {"SUCCEEDED"}
    api.post(f"payments/{made['id']}/reverse", {"reason": "Bounced"})
    assert [api.get(f"invoices/{key}")["amount_remaining"] for key in (first, second)] == ["100.00", "100.00"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"destination_type": "INVOICE", "apply_oldest_first": True}, "applications"),
        ({"applications": [{"invoice_id": "x", "amount": "1"}], "apply_oldest_first": True}, "applications"),
        ({"applications": [{"invoice_id": "x", "amount": "-1"}]}, "applications"),
        ({"payment_method_type": "WRITE_OFF"}, "payment_method_type"),
        ({"currency": "xzq"}, "currency"),
    ],
)
def test_a_wrong_payment_names_the_field(api, customer, fields, named):
    error = api.post("payments", body_of(customer, "10", **fields), 400)
    assert named in str(error["details"])


def test_unknown_customers_and_invoices_are_not_found(api, customer):
    api.post("payments", body_of(customer, "10") | {"destination_id": "cust_none"}, 404)
    api.post("payments", body_of(customer, "10", applications=[{"invoice_id": "inv_none", "amount": "1"}]), 404)
    assert not Payment.objects.exists()


def test_a_batch_is_recorded_whole(api, customer, invoices):
    batch = [body_of(customer, amount, apply_oldest_first=True, payment_method_id=amount) for amount in ("150", "60")]
    answer = api.post("payments/batch", {"payments": batch}, 201)
    assert [payment["amount"] for payment in answer["payments"]] == ["150.00", "60.00"]
    assert api.post("payments/batch", {"payments": batch}, 201) == answer
    to_invoice = batch[0] | {"destination_type": "INVOICE", "apply_oldest_first": False}
    error = api.post("payments/batch", {"payments": [batch[0], to_invoice]}, 400)
    assert "payments[1].destination_type" in str(error["details"])


def test_a_small_difference_is_settled(api, invoices):
    CompanyProfile.objects.create(name="Larkspur", write_off_limit=D(1), write_off_account="6300")
    address = f"invoices/{invoices[0].public_id}/difference"
    body = {"amount": "0.80", "difference_type": "WRITE_OFF", "reason": "Rounded", "idempotency_key": "d1"}
    made = api.post(address, body, 201)
    assert (made["kind"], made["amount"], made["account"], made["reason"]) == ("adjusted", "0.80", "6300", "Rounded")
    assert api.post(address, body, 201)["id"] == made["id"]
    error = api.post(address, body | {"idempotency_key": "d2"}, 400)
    assert "exceeds the limit of $1.00 for INV-000001" in error["message"]
