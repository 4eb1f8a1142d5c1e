"""HTTP responses with a document, for the admin and the API: its PDF, or its data as XML."""

from django.http import HttpResponse

from billing.documents import credit_notes
from billing.documents.invoices import build_file_name, render_invoice
from billing.models import CompanyProfile, CreditNote, EInvoice, Invoice


def build_invoice_response(invoice: Invoice) -> HttpResponse:
    """Build a response that downloads an invoice as PDF. Load the invoice with `RELATED` of `invoices`."""
    return build_file_response(render_invoice(invoice, site_url=get_site_url()), build_file_name(invoice))


def build_credit_note_response(note: CreditNote) -> HttpResponse:
    """Build a response that downloads a credit note as PDF. Load the credit note with `RELATED` of `credit_notes`."""
    pdf = credit_notes.render_credit_note(note, site_url=get_site_url())
    return build_file_response(pdf, credit_notes.build_file_name(note))


def build_einvoice_response(einvoice: EInvoice) -> HttpResponse:
    """Build a response that downloads an electronic invoice as it was issued."""
    return build_file_response(einvoice.xml.encode(), einvoice.file_name, content_type="application/xml")


def build_file_response(content: bytes, name: str, *, content_type: str = "application/pdf") -> HttpResponse:
    """Build a response that downloads a file, a PDF by default, under a file name."""
    response = HttpResponse(content, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def get_site_url() -> str:
    """Return the URL in the company's profile that documents link to. If it is blank, documents have no link."""
    return CompanyProfile.current().site_url
