"""A document as an answer over HTTP. For the admin and the API alike."""

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from billing.documents.invoices import file_name, invoice_pdf
from billing.models import CompanyProfile, Invoice


def pdf_response(request: HttpRequest | Request, invoice: Invoice) -> HttpResponse:
    """Answer an invoice as a PDF file to keep. Load it with the documents' `RELATED`."""
    return file_response(invoice_pdf(invoice, site_url=site_url(request)), file_name(invoice))


def file_response(pdf: bytes, name: str) -> HttpResponse:
    """Answer a PDF as a file of that name."""
    response = HttpResponse(pdf, content_type="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def site_url(request: HttpRequest | Request) -> str:
    """Return where documents link to: the address in the company's profile, else the one that was asked."""
    return CompanyProfile.current().site_url or request.build_absolute_uri("/")
