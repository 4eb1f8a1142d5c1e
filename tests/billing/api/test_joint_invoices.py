"""Joint invoices through the API, in documents and in emails."""

import pytest

from billing.documents.invoices import build_file_name, build_invoice_document
from billing.models import CompanyProfile, Email, Invoice
from customers.models import Customer
from tests.api import Api
from tests.billing.adjusting import make_tax
from tests.billing.late import invoice_at
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_subscription, make_version

pytestmark = pytest.mark.django_db
JANUARY, FEBRUARY = utc(2026, 1, 1), utc(2026, 2, 1)


@pytest.fixture
def acme() -> Customer:
    """A customer with a tax of 19 %, who pays for its own seats and for the support of a subsidiary."""
    acme = make_customer(name="Acme", external_id="acme", joins_invoices=True, email="pay@acme.test")
    make_tax(19, of=acme)
    north = make_customer(name="North", external_id="north", parent=acme)
    for customer, name, amount in ((acme, "Seats", "10.01"), (north, "Support", "20.03")):
        fee = {"kind": "fixed", "cadence": "arrears", "name": "Monthly fee", "unit_amount": D(amount)}
        make_subscription(customer=customer, plan=make_version(fee, name=name), starts_at=JANUARY)
    return acme


def test_the_option_of_a_customer(api: Api):
    made = api.post("customers", {"external_id": "acme", "name": "Acme", "joins_invoices": True}, 201)
    assert made["joins_invoices"] is True
    refused = api.put(f"customers/{made['id']}", {"einvoice_format": "xrechnung"}, 400)
    assert "is of one subscription" in refused["details"]["joins_invoices"][0]
    assert api.put(f"customers/{made['id']}", {"joins_invoices": False})["joins_invoices"] is False


def test_a_joint_invoice_has_the_sums_of_its_sections_and_is_paid_once(api: Api, acme: Customer):
    draft = bill(FEBRUARY)[0]
    assert api.get(f"invoices/{draft.public_id}")["joint_invoice_number"] is None
    api.post(f"invoices/{draft.public_id}/finalize")
    (joint,) = api.get("joint-invoices", external_customer_id="acme")["items"]
    names = ("invoice_number", "invoice_status", "total_tax", "total", "amount_due", "amount_remaining")
    # 19 % of 10.01 is 1.90, of 20.03 it is 3.81: each section's tax is rounded.
    assert [joint[name] for name in names] == ["INV-000001", "FINALIZED", "5.71", "35.75", "35.75", "35.75"]
    assert [(row["invoice_number"], row["total"]) for row in joint["sections"]] == [
        ("INV-000001-1", "11.91"),
        ("INV-000001-2", "23.84"),
    ]
    invoice = api.get(f"invoices/{joint['sections'][1]['invoice_id']}")
    assert (invoice["joint_invoice_id"], invoice["joint_invoice_number"]) == (joint["id"], "INV-000001")
    assert api.get("invoices", joint_invoice_id=joint["id"])["pagination"]["total"] == 2

    part = {"payment_status": "PENDING", "amount": "20.00", "reference": "wire 7"}
    for _ in range(2):
        paid = api.put(f"joint-invoices/{joint['id']}/payment", part)
        assert (paid["payment_status"], paid["amount_paid"], paid["amount_remaining"]) == ("PENDING", "20.00", "15.75")
    again = api.put(f"joint-invoices/{joint['id']}/payment", part | {"amount": "21.00"}, 400)
    assert again["message"].startswith("wire 7 is already recorded with $20.00.")
    rest = api.put(f"joint-invoices/{joint['id']}/payment", {"payment_status": "SUCCEEDED"})
    assert (rest["payment_status"], rest["amount_remaining"]) == ("SUCCEEDED", "0.00")
    received = [payment for payment in api.get("payments")["items"] if payment["kind"] == "payment"]
    assert [payment["amount"] for payment in received] == ["15.75", "20.00"]
    api.get("joint-invoices/jinv_none", status=404)


def test_the_document_groups_lines_by_subscription(acme: Customer):
    sections = invoice_at(FEBRUARY)
    first, second = (build_invoice_document(Invoice.objects.get(pk=section.pk)) for section in sections)
    assert first == second
    assert (first["title"], build_file_name(sections[1])) == ("Invoice INV-000001", "INV-000001.pdf")
    assert [group["title"] for group in first["groups"]] == [
        "INV-000001-1: Seats, 1–31 Jan 2026 · Recurring fees",
        "INV-000001-1: Seats, 1–31 Jan 2026 · Taxes",
        "INV-000001-1: Seats, 1–31 Jan 2026",
        "INV-000001-2: Support, North, 1–31 Jan 2026 · Recurring fees",
        "INV-000001-2: Support, North, 1–31 Jan 2026 · Taxes",
        "INV-000001-2: Support, North, 1–31 Jan 2026",
    ]
    total = first["groups"][5]["rows"][0]["cells"]
    assert (total[0], total[-1]) == ("Total of this subscription", "$23.84")
    assert [(row["label"], row["amount"]) for row in first["totals"]] == [
        ("Subtotal", "$30.04"),
        ("Tax", "$5.71"),
        ("Total", "$35.75"),
        ("Amount due", "$35.75"),
    ]


def test_one_email_and_one_number(acme: Customer):
    CompanyProfile.objects.create(name="Larkspur", emails_invoices=True)
    invoice_at(FEBRUARY)
    email = Email.objects.get()
    assert (email.to, email.invoice.number) == (["pay@acme.test"], "INV-000001-1")
    assert "INV-000001 " in email.subject + " "
    assert "Amount due: $35.75, by " in email.text
