"""Emails and templates through the API."""

import pytest

from billing.models import Email
from tests.billing.invoices import make_draft, make_finalized
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def test_an_invoice_is_previewed_sent_listed_and_sent_again(api):
    invoice = make_finalized("100", customer=make_customer(email="anna@example.com"))
    body = {"invoice_id": invoice.public_id}
    preview = api.post("emails/preview", body)
    assert (preview["to"], preview["subject"]) == (
        *(["anna@example.com"], f"Invoice {invoice.number} from Example Company"),
    )
    assert not Email.objects.exists()
    email = api.post("emails", body, 201)
    assert (email["status"], email["kind"], email["invoice_id"]) == ("pending", "invoice", invoice.public_id)
    assert api.post("emails", body, 201)["id"] == email["id"]
    assert [item["id"] for item in api.get("emails", invoice_id=invoice.public_id)["items"]] == [email["id"]]
    assert api.get(f"emails/{email['id']}")["text"].startswith("Hello ")
    Email.objects.update(state="failed", next_try_at=None)
    again = api.post(f"emails/{email['id']}/resend", {"to": ["books@example.com"]}, 201)
    assert (again["resends_id"], again["to"]) == (email["id"], ["books@example.com"])
    assert api.post(f"emails/{email['id']}/handled", {})["handled_at"]


def test_what_cant_be_sent_is_refused(api):
    customer = make_customer()
    draft, invoice = make_draft("10", customer=customer), make_finalized("10", customer=customer)
    api.post("emails", {"invoice_id": draft.public_id}, 400)
    assert "no email address" in api.post("emails", {"invoice_id": invoice.public_id}, 400)["message"]
    api.post("emails", {"invoice_id": invoice.public_id, "to": ["a@example.com\nBcc: b@example.com"]}, 400)
    api.post("emails", {"invoice_id": invoice.public_id, "customer_id": customer.public_id}, 400)
    api.post("emails", {"customer_id": customer.public_id}, 400)
    api.post("emails", {"invoice_id": "inv_none"}, 404)


def test_a_statement_is_sent_with_its_days(api):
    customer = make_customer(email_to=["books@example.com"])
    days = {"from_date": "2026-01-01", "to_date": "2026-01-31"}
    email = api.post("emails", {"customer_id": customer.public_id} | days, 201)
    assert (email["kind"], email["to"], email["from_date"], email["to_date"]) == (
        *("statement", ["books@example.com"]),
        *("2026-01-01", "2026-01-31"),
    )


def test_recipients_and_automatic_emails_are_settings(api):
    customer = api.post("customers", {"external_id": "acme", "name": "Acme", "email_to": ["a@example.com"]}, 201)
    assert (customer["email_to"], customer["email_cc"], customer["receives_email"]) == (["a@example.com"], [], True)
    changed = api.put(f"customers/{customer['id']}", {"receives_email": False, "email_to": []})
    assert (changed["email_to"], changed["receives_email"]) == ([], False)
    assert api.put("company", {"emails_invoices": True})["emails_invoices"] is True


def test_templates_are_changed_tested_and_reset(api):
    kinds = {template["kind"] for template in api.get("email-templates")}
    assert kinds == {"invoice", "credit_note", "receipt", "statement", "due_soon", "reminder", "final_notice"}
    changed = api.put("email-templates/invoice", {"subject": "{{ number }}", "text": "Hello\n"})
    assert (changed["is_changed"], changed["text"]) == (True, "Hello\n")
    api.put("email-templates/invoice", {"subject": "{{ secret }}", "text": "Hello"}, 400)
    assert api.post("email-templates/invoice/test", {"to": "me@example.com"}, 201)["subject"] == "Test: INV-000123"
    api.delete("email-templates/invoice", status=204)
    assert api.get("email-templates/invoice")["is_changed"] is False
    api.get("email-templates/test", status=404)
