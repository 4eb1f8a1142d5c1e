"""Documents in the admin: the PDF of an invoice, many of them as one ZIP."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from billing.documents import credit_notes
from billing.documents.archive import MOST_DOCUMENTS, stream_zip
from billing.documents.invoices import RELATED
from billing.documents.responses import build_file_response, build_invoice_response, get_site_url
from billing.explanation.line_events import TooManyEvents, build_event_table
from billing.explanation.proof import NotUsage
from billing.models import CreditNote, Invoice, InvoiceLine
from config.office.files import table_file


def one_pdf(request: HttpRequest, object_id: int | str) -> HttpResponse:
    """Answer the PDF of one invoice, by its primary key. 404 if there is none."""
    return build_invoice_response(get_object_or_404(Invoice.objects.select_related(*RELATED), pk=object_id))


def one_credit_note(request: HttpRequest, object_id: int | str) -> HttpResponse:
    """Answer the PDF of one credit note, by its primary key. 404 if there is none."""
    note = get_object_or_404(CreditNote.objects.select_related(*credit_notes.RELATED), pk=object_id)
    return build_file_response(
        credit_notes.render_credit_note(note, site_url=get_site_url()), credit_notes.build_file_name(note)
    )


def many_pdfs(request: HttpRequest, chosen: QuerySet[Invoice]) -> HttpResponseBase | None:
    """Answer the chosen invoices' PDFs as one ZIP, in the list's order; too many are refused in a message."""
    ids = list(chosen.values_list("pk", flat=True)[: MOST_DOCUMENTS + 1])
    if len(ids) > MOST_DOCUMENTS:
        said = f"At most {MOST_DOCUMENTS} invoices go into one file. Narrow the list by a filter, and take it in parts."
        messages.error(request, said)
        return None
    response = StreamingHttpResponse(stream_zip(ids, site_url=get_site_url()), content_type="application/zip")
    response.headers["Content-Disposition"] = 'attachment; filename="invoices.zip"'
    return response


def line_events(line: InvoiceLine) -> HttpResponseBase:
    """Answer the events behind a usage line as CSV, or its distinct values; 404 for a line that counts none."""
    try:
        headings, rows = build_event_table(line)
    except (NotUsage, TooManyEvents) as refused:
        raise Http404(str(refused)) from refused
    return table_file(
        headings, rows, name=f"{line.invoice}-{line.position}-events".replace(" ", "-"), file_format="csv"
    )
