"""A document as an answer over HTTP. For the admin and the API alike."""

from django.http import HttpResponse

from billing.documents.invoices import file_name, invoice_pdf
from billing.models import CompanyProfile, Invoice


def pdf_response(invoice: Invoice) -> HttpResponse:
    """Answer an invoice as a PDF file to keep. Load it with the documents' `RELATED`."""
    return file_response(invoice_pdf(invoice, site_url=site_url()), file_name(invoice))


def file_response(pdf: bytes, name: str) -> HttpResponse:
    """Answer a PDF as a file of that name."""
    response = HttpResponse(pdf, content_type="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def site_url() -> str:
    """Return where documents link to: the address in the company's profile. Without one they have no link."""
    return CompanyProfile.current().site_url
