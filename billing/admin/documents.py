"""Downloads: invoices and credit notes as PDF and as data, and the events of a line."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from billing.documents import credit_notes
from billing.documents.archive import MOST_DOCUMENTS, stream_zip
from billing.documents.invoices import RELATED
from billing.documents.responses import (
    build_credit_note_response,
    build_einvoice_response,
    build_invoice_response,
    get_site_url,
)
from billing.explanation.line_events import TooManyEvents, build_event_table
from billing.explanation.proof import NotUsage
from billing.models import CreditNote, EInvoice, Invoice, InvoiceLine
from config.office.files import file_name, table_file


def one_pdf(request: HttpRequest, object_id: int | str) -> HttpResponse:
    """Return the PDF of one invoice, or 404."""
    return build_invoice_response(get_object_or_404(Invoice.objects.select_related(*RELATED), pk=object_id))


def one_credit_note(request: HttpRequest, object_id: int | str) -> HttpResponse:
    """Return the PDF of one credit note, or 404."""
    return build_credit_note_response(
        get_object_or_404(CreditNote.objects.select_related(*credit_notes.RELATED), pk=object_id)
    )


def invoice_xml(request: HttpRequest, object_id: int | str) -> HttpResponse:
    """Return the electronic invoice of an invoice, or 404."""
    rows = EInvoice.objects.present().select_related("invoice")
    return build_einvoice_response(get_object_or_404(rows, invoice=object_id))


def credit_note_xml(request: HttpRequest, object_id: int | str) -> HttpResponse:
    """Return the electronic credit note of a credit note, or 404."""
    rows = EInvoice.objects.present().select_related("credit_note")
    return build_einvoice_response(get_object_or_404(rows, credit_note=object_id))


def many_pdfs(request: HttpRequest, invoices: QuerySet[Invoice]) -> HttpResponseBase | None:
    """Return the invoices' PDFs as one ZIP file. If there are too many, add an error message and return `None`."""
    ids = list(invoices.values_list("pk", flat=True)[: MOST_DOCUMENTS + 1])
    if len(ids) > MOST_DOCUMENTS:
        messages.error(
            request, f"Download at most {MOST_DOCUMENTS} invoices at once. Filter the list to download fewer."
        )
        return None
    response = StreamingHttpResponse(stream_zip(ids, site_url=get_site_url()), content_type="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name("invoices")}.zip"'
    return response


def line_events(line: InvoiceLine) -> HttpResponseBase:
    """Return the events of a usage line as CSV, or its distinct values; 404 for other lines."""
    try:
        headings, rows = build_event_table(line)
    except (NotUsage, TooManyEvents) as refusal:
        raise Http404(str(refusal)) from refusal
    name = f"{line.invoice}-{line.position}-events".replace(" ", "-")
    return table_file(headings, rows, name=name, file_format="csv")
