"""Documents in the admin: PDFs of invoices, the ZIP file of many, and the company profile."""

import io
from zipfile import ZipFile

import pytest
from django.urls import reverse

from billing.documents import archive
from billing.lifecycle.finalize import finalize
from billing.models import CompanyProfile, Invoice
from tests.admin_pages import as_viewer
from tests.billing.documents.test_invoices import END, make_one_off
from tests.billing.world import D
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/billing/invoice/"
PROFILE = "/admin/billing/companyprofile/"


def pdf_url(invoice):
    return reverse("admin:billing_invoice_pdf_one", args=[invoice.pk])


def test_invoice_is_downloaded_as_a_pdf(staff_client):
    invoice = finalize(make_one_off(("Support", D(7))), now=END)
    assert pdf_url(invoice) in staff_client.get(invoice.get_absolute_url()).content.decode()
    answer = staff_client.get(pdf_url(invoice))
    assert answer.headers["content-disposition"] == 'attachment; filename="INV-000001.pdf"'
    assert answer.content.startswith(b"%PDF-")


def test_downloading_requires_the_view_permission(client):
    invoice = make_one_off(("Support", D(7)))
    assert as_viewer("billing").get(pdf_url(invoice)).status_code == 200
    client.force_login(make_user())
    assert client.get(pdf_url(invoice)).status_code == 403
    assert client.post(LIST, {"action": "pdf_selected", "_selected_action": [invoice.pk]}).status_code == 403


def test_selected_invoices_are_downloaded_as_one_zip_file(staff_client):
    invoices = [finalize(make_one_off(("Support", D(n))), now=END) for n in (1, 2)]
    form = {"action": "pdf_selected", "_selected_action": [invoice.pk for invoice in invoices]}
    answer = staff_client.post(LIST, form)
    assert answer.headers["content-type"] == "application/zip"
    names = ZipFile(io.BytesIO(b"".join(answer.streaming_content))).namelist()
    assert names == ["INV-000002.pdf", "INV-000001.pdf"]  # the list's order


def test_too_many_documents_are_refused_with_a_message(staff_client, monkeypatch):
    monkeypatch.setattr(archive, "MOST_DOCUMENTS", 1)
    monkeypatch.setattr("billing.admin.documents.MOST_DOCUMENTS", 1)
    for n in (1, 2):
        make_one_off(("Support", D(n)))
    form = {"action": "pdf_selected", "_selected_action": list(Invoice.objects.values_list("pk", flat=True))}
    assert "Download at most 1 invoices at once" in staff_client.post(LIST, form, follow=True).content.decode()


def test_company_profile_edits_are_in_its_history(staff_client):
    page = staff_client.get(PROFILE, follow=True)
    assert "Example Company" in page.content.decode()
    form = {"name": "Northlight GmbH", "address_country": "DE", "tax_id": "VAT DE1"}
    form |= {"timezone": "UTC", "retention_years": "10", "write_off_limit": "0", "bank_charge_limit": "0"}
    staff_client.post(f"{PROFILE}1/change/", form)
    staff_client.post(f"{PROFILE}1/change/", form | {"tax_id": "VAT DE2"})
    assert CompanyProfile.current().tax_id == "VAT DE2"
    assert "VAT DE1" in staff_client.get(f"{PROFILE}1/history/").content.decode()
    assert (
        "two-letter country code"
        in staff_client.post(f"{PROFILE}1/change/", form | {"address_country": "de"}).content.decode()
    )


def test_company_profile_requires_the_change_permission(db):
    viewer = as_viewer("billing")
    assert viewer.get(f"{PROFILE}1/change/").status_code == 200
    assert viewer.post(f"{PROFILE}1/change/", {"name": "X"}).status_code == 403
    assert not CompanyProfile.objects.exists()
