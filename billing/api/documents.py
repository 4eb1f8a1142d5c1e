"""The doors to documents: an invoice as PDF, by key or by a link that holds for an hour."""

from datetime import UTC, datetime, timedelta
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
from billing.documents.invoices import RELATED
from billing.documents.responses import build_invoice_response
from billing.explanation.line_events import list_events
from billing.models import Invoice, InvoiceLine
from config.api.fields import plain
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_query
from events.usage.contributing_events import CountedEvent

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
LINK_HOLDS_S = 3600
SALT = "billing.documents.invoice"
PDF = "application/pdf"
FILE = OpenApiResponse(OpenApiTypes.BINARY, "The PDF.")


class PdfQuery(serializers.Serializer[Any]):
    """How the PDF is wanted."""

    url = serializers.BooleanField(default=False, help_text="A link that holds for an hour, instead of the file.")
    force_generate = serializers.BooleanField(
        default=False, help_text="Accepted and without effect: every PDF is made anew, and is the same each time."
    )


class PdfLink(serializers.Serializer[Any]):
    """Where the PDF can be fetched without a key, for an hour."""

    presigned_url = serializers.URLField()


class AnyType(BaseContentNegotiation):
    """Answer a file whatever types are asked for, and errors as JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


def shown(invoice_id: str) -> Invoice:
    return get_or_404(Invoice.objects.select_related(*RELATED), "invoice", public_id=invoice_id)


class InvoicePdf(ApiView):
    """Fetch an invoice as PDF: the same bytes each time, while nothing happens to the invoice."""

    content_negotiation_class = AnyType

    @operation(
        "getInvoicePdf", "Get an invoice as PDF", tag=TAG, parameters=[PdfQuery], errors=(400, 404),
        answers={(200, PDF): FILE, (200, "application/json"): PdfLink},
    )  # fmt: skip
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        asked, invoice = read_query(request, PdfQuery), shown(invoice_id)
        if not asked["url"]:
            return build_invoice_response(invoice)
        address = reverse("shared_document", args=[signing.dumps(invoice.public_id, salt=SALT)])
        return Response({"presigned_url": request.build_absolute_uri(address)})


class LineEventsQuery(serializers.Serializer[Any]):
    """Which page of a line's events."""

    page_size = serializers.IntegerField(default=100, min_value=1, max_value=1000)
    iter_last_key = serializers.RegexField(
        r"^\d{1,16}-\d{1,18}$", default="", help_text="From the page before, to go on behind it."
    )


class LineEvent(serializers.Serializer[Any]):
    """An event that a line counts."""

    id = serializers.CharField()
    event_name = serializers.CharField()
    timestamp = serializers.DateTimeField()
    ingested_at = serializers.DateTimeField()
    value = serializers.CharField(allow_null=True, help_text="The field that is aggregated, as it was sent.")
    quantity = serializers.CharField(allow_null=True, help_text="What it adds; null for counts and distinct values.")


class LineEventPage(serializers.Serializer[Any]):
    """A page of the events that a line counts, by time. Pass `iter_last_key` on for the next."""

    items = LineEvent(many=True)
    has_more = serializers.BooleanField()
    iter_last_key = serializers.CharField(allow_null=True)
    events_count = serializers.IntegerField(help_text="How many the line says it counted.")


class LineEvents(ApiView):
    """List the events that an invoice line counts: those in its windows, by the definition that usage goes by.

    400 for a line that isn't counted from events.
    """

    @operation("getInvoiceLineEvents", "List the events of an invoice line", tag=TAG, parameters=[LineEventsQuery],
               errors=(400, 404), answers={200: LineEventPage})  # fmt: skip
    def get(self, request: Request, invoice_id: str, line_id: str) -> Response:
        asked = read_query(request, LineEventsQuery)
        lines = InvoiceLine.objects.select_related("invoice", "feature").filter(invoice__public_id=invoice_id)
        line, size = get_or_404(lines, "invoice line", public_id=line_id), asked["page_size"]
        page = list(list_events(line, most=size + 1, after=_place(asked["iter_last_key"])))
        items = [
            {
                "id": event.event_id,
                "event_name": event.event_name,
                "timestamp": event.occurred_at,
                "ingested_at": event.received_at,
                "value": event.value,
                "quantity": None if event.number is None else plain(event.number),
            }
            for event in page[:size]
        ]
        last = _key(page[:size][-1]) if page else None
        whole = {"items": items, "has_more": len(page) > size, "iter_last_key": last}
        return Response(LineEventPage(whole | {"events_count": line.events_count}).data)


def _key(event: CountedEvent) -> str:
    return f"{(event.occurred_at - EPOCH) // MICROSECOND}-{event.id}"


def _place(key: str) -> tuple[datetime, int] | None:
    if not key:
        return None
    since, _, number = key.partition("-")
    return EPOCH + int(since) * MICROSECOND, int(number)


class SharedDocument(APIView):
    """Fetch the PDF that a link was made for. No key: the link is signed, and holds for an hour; then 404."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    content_negotiation_class = AnyType

    @extend_schema(exclude=True)  # not of the API: it needs no key, and nobody makes its address
    def get(self, request: Request, token: str) -> HttpResponse:
        try:
            invoice_id = signing.loads(token, salt=SALT, max_age=LINK_HOLDS_S)
        except signing.BadSignature as error:
            raise NotFound("This link is not valid, or is older than an hour.") from error
        return build_invoice_response(shown(invoice_id))
