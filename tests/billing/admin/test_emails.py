"""Emails in the admin: from an invoice's page, in bulk with a preview, and the templates."""

import pytest
from django.urls import reverse

from billing.models import Email, EmailTemplate
from billing.sending.delivering import deliver_due
from tests.admin_pages import submit
from tests.billing.invoices import later, make_draft, make_finalized
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def address(name: str, *args) -> str:
    return reverse(f"admin:billing_{name}", args=args)


def test_an_invoice_is_sent_from_its_page_and_the_email_is_shown_with_what_happened(staff_client, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    invoice = make_finalized("100", customer=make_customer(name="Acme", email="anna@example.com"))
    dialog = staff_client.get(address("invoice_email_one", invoice.pk)).content.decode()
    assert "anna@example.com" in dialog
    assert f"Invoice {invoice.number} from Example Company" in dialog
    submit(staff_client, address("invoice_email_one", invoice.pk), to="anna@example.com; b@example.com", cc="")
    email = Email.objects.get()
    assert email.to == ["anna@example.com", "b@example.com"]
    deliver_due(now=later(100))
    [file] = tmp_path.iterdir()  # the outbox of a laptop
    assert b"Content-Type: application/pdf" in file.read_bytes()
    page = staff_client.get(email.get_absolute_url()).content.decode()
    assert "Accepted by the mail server" in page
    assert f"{invoice.number}.pdf" in page
    assert str(tmp_path) in staff_client.get(address("email_changelist")).content.decode()
    assert "anna@example.com, b@example.com" in staff_client.get(invoice.get_absolute_url()).content.decode()


def test_an_invalid_address_keeps_the_dialog_open(staff_client):
    invoice = make_finalized("100", customer=make_customer(email="anna@example.com"))
    response = submit(staff_client, address("invoice_email_one", invoice.pk), to="anna@", cc="")
    assert "isn&#x27;t an email address" in response.content.decode()
    assert not Email.objects.exists()


def test_selected_invoices_are_previewed_and_then_sent(staff_client):
    sent = make_finalized("100", customer=make_customer(email="anna@example.com"))
    others = [make_draft("10", customer=sent.customer), make_finalized("10", customer=make_customer(name="Nora"))]
    data = {"action": "email_selected", "_selected_action": [invoice.pk for invoice in (sent, *others)]}
    preview = staff_client.post(address("invoice_changelist"), data).content.decode()
    for text in ("Email 1 invoice", "2 will be skipped", "Send to anna@example.com", "Nora has no email address"):
        assert text in preview
    assert not Email.objects.exists()
    staff_client.post(address("invoice_changelist"), data | {"confirmed": "yes"})
    assert Email.objects.get().invoice == sent


def test_a_template_is_edited_previewed_tested_and_reset(staff_client):
    page = address("emailtemplate_change", 1)
    assert "Hello Anna Miller" in staff_client.get(page).content.decode()
    refused = staff_client.post(page, {"subject": "{{ secret }}", "text": "Hello"}).content.decode()
    assert "isn&#x27;t a placeholder of this email" in refused
    staff_client.post(page, {"subject": "Your invoice {{ number }}", "text": "Hello {{ customer }}"})
    assert EmailTemplate.objects.get().subject == "Your invoice {{ number }}"
    assert "Your invoice INV-000123" in staff_client.get(page).content.decode()
    submit(staff_client, address("emailtemplate_send_test", 1), to="me@example.com")
    assert Email.objects.get().subject == "Test: Your invoice INV-000123"
    submit(staff_client, address("emailtemplate_reset_one", 1))
    assert not EmailTemplate.objects.exists()
    assert submit(staff_client, address("emailtemplate_send_test", 9), to="me@example.com").status_code == 404
