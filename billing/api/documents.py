"""API views for documents: an invoice's PDF, by API key or by a link that is valid for an hour; a line's events."""

from typing import Any

from django.core import signing
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api.invoices import TAG
from billing.api.serializers.invoice_actions import ExplanationOut, ProofOut
from billing.documents import credit_notes
from billing.documents.invoices import RELATED
from billing.documents.responses import build_credit_note_response, build_invoice_response
from billing.explanation.line_events import list_events, position_of, read_position
from billing.explanation.proof import prove
from billing.models import CreditNote, Invoice, InvoiceLine
from config.api.fields import QuantityField
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_query

LINK_HOLDS_S = 3600
SALT = "billing.documents.invoice"
PDF = "application/pdf"
FILE = OpenApiResponse(OpenApiTypes.BINARY, "The PDF.")


class PdfQuery(serializers.Serializer[Any]):
    """How to return the PDF."""

    url = serializers.BooleanField(
        default=False, help_text="Return a link that is valid for an hour instead of the file."
    )
    force_generate = serializers.BooleanField(
        default=False, help_text="Accepted without effect: the PDF is always up to date."
    )


class PdfLink(serializers.Serializer[Any]):
    """A link to the PDF that is valid for an hour and needs no API key."""

    presigned_url = serializers.URLField()


class AnyType(BaseContentNegotiation):
    """Return a file whatever the Accept header says, and errors as JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


def invoice_of(invoice_id: str) -> Invoice:
    return get_or_404(Invoice.objects.select_related(*RELATED), "invoice", public_id=invoice_id)


class InvoicePdf(ApiView):
    """Download an invoice as PDF. The file only changes when the invoice does."""

    content_negotiation_class = AnyType

    @operation(
        "getInvoicePdf",
        "Download an invoice as PDF",
        tag=TAG,
        parameters=[PdfQuery],
        errors=(400, 404),
        answers={(200, PDF): FILE, (200, "application/json"): PdfLink},
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        query, invoice = read_query(request, PdfQuery), invoice_of(invoice_id)
        if not query["url"]:
            return build_invoice_response(invoice)
        address = reverse("shared_document", args=[signing.dumps(invoice.public_id, salt=SALT)])
        return Response({"presigned_url": request.build_absolute_uri(address)})


class CreditNotePdf(ApiView):
    """Download a credit note as PDF."""

    content_negotiation_class = AnyType

    @operation(
        "getCreditNotePdf",
        "Download a credit note as PDF",
        tag="Credit notes",
        errors=(404,),
        answers={(200, PDF): FILE},
    )
    def get(self, request: Request, credit_note_id: str) -> HttpResponse:
        notes = CreditNote.objects.select_related(*credit_notes.RELATED)
        return build_credit_note_response(get_or_404(notes, "credit note", public_id=credit_note_id))


class LineEventsQuery(serializers.Serializer[Any]):
    """The page of a line's events."""

    page_size = serializers.IntegerField(default=100, min_value=1, max_value=1000)
    iter_last_key = serializers.RegexField(
        r"^\d{1,16}-\d{1,18}$", default="", help_text="The previous page's `iter_last_key`."
    )


class LineEvent(serializers.Serializer[Any]):
    """An event counted by an invoice line."""

    id = serializers.CharField(source="event_id")
    event_name = serializers.CharField()
    timestamp = serializers.DateTimeField(source="occurred_at")
    ingested_at = serializers.DateTimeField(source="received_at")
    value = serializers.CharField(allow_null=True, help_text="The aggregated field's value, as sent.")
    quantity = QuantityField(
        source="number", allow_null=True, help_text="The quantity added; null for counts and distinct values."
    )


class LineEventPage(serializers.Serializer[Any]):
    """A page of the events counted by a line, by time. Pass `iter_last_key` to get the next page."""

    items = LineEvent(many=True)
    has_more = serializers.BooleanField()
    iter_last_key = serializers.CharField(allow_null=True)
    events_count = serializers.IntegerField(help_text="The number of events that the line counted.")


class LineEvents(ApiView):
    """List the events that an invoice line counts. Fails (400) for a line that isn't counted from events."""

    @operation(
        "getInvoiceLineEvents",
        "List the events of an invoice line",
        tag=TAG,
        parameters=[LineEventsQuery],
        errors=(400, 404),
        answers={200: LineEventPage},
    )
    def get(self, request: Request, invoice_id: str, line_id: str) -> Response:
        query = read_query(request, LineEventsQuery)
        line, size = line_of(invoice_id, line_id), query["page_size"]
        events = list(list_events(line, most=size + 1, after=read_position(query["iter_last_key"])))
        body = {
            "items": events[:size],
            "has_more": len(events) > size,
            "iter_last_key": position_of(events[:size][-1]) if events else None,
            "events_count": line.events_count,
        }
        return Response(LineEventPage(body).data)


class LineProof(ApiView):
    """Count a usage line's events again and compare the figures. Fails (400) for a line that isn't counted."""

    @operation(
        "getInvoiceLineProof",
        "Recount an invoice line",
        tag=TAG,
        answers={200: ProofOut},
        errors=(400, 404),
        description="Nothing changes. For late usage, the figures of the whole period are compared.",
    )
    def get(self, request: Request, invoice_id: str, line_id: str) -> Response:
        return Response(ProofOut(prove(line_of(invoice_id, line_id))).data)


class LineExplanation(ApiView):
    """Explain how an invoice line was calculated: free units, tiers, days, rounding, events."""

    @operation(
        "getInvoiceLineExplanation",
        "Explain an invoice line",
        tag=TAG,
        answers={200: ExplanationOut},
        errors=(404,),
    )
    def get(self, request: Request, invoice_id: str, line_id: str) -> Response:
        return Response(ExplanationOut(line_of(invoice_id, line_id)).data)


def line_of(invoice_id: str, line_id: str) -> InvoiceLine:
    lines = InvoiceLine.objects.select_related("invoice__subscription", "price", "feature").filter(
        invoice__public_id=invoice_id
    )
    return get_or_404(lines, "invoice line", public_id=line_id)


class SharedDocument(APIView):
    """Download the PDF of a signed link, without an API key. The link is valid for an hour; then 404."""

    authentication_classes = ()
    throttle_classes = ()
    permission_classes = (AllowAny,)
    content_negotiation_class = AnyType

    @extend_schema(exclude=True)  # the link comes from `InvoicePdf`; clients don't build it
    def get(self, request: Request, token: str) -> HttpResponse:
        try:
            invoice_id = signing.loads(token, salt=SALT, max_age=LINK_HOLDS_S)
        except signing.BadSignature as error:
            raise NotFound("This link is invalid or has expired.") from error
        return build_invoice_response(invoice_of(invoice_id))
