"""HTTP responses with a document, for the admin and the API."""

from django.http import HttpResponse

from billing.documents import credit_notes
from billing.documents.invoices import build_file_name, render_invoice
from billing.models import CompanyProfile, CreditNote, Invoice


def build_invoice_response(invoice: Invoice) -> HttpResponse:
    """Build a response that downloads an invoice as PDF. Load the invoice with `RELATED` of `invoices`."""
    return build_file_response(render_invoice(invoice, site_url=get_site_url()), build_file_name(invoice))


def build_credit_note_response(note: CreditNote) -> HttpResponse:
    """Build a response that downloads a credit note as PDF. Load the credit note with `RELATED` of `credit_notes`."""
    pdf = credit_notes.render_credit_note(note, site_url=get_site_url())
    return build_file_response(pdf, credit_notes.build_file_name(note))


def build_file_response(pdf: bytes, name: str) -> HttpResponse:
    """Build a response that downloads a PDF under a file name."""
    response = HttpResponse(pdf, content_type="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def get_site_url() -> str:
    """Return the URL in the company's profile that documents link to. If it is blank, documents have no link."""
    return CompanyProfile.current().site_url
