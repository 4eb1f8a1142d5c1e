"""The doors to documents: an invoice as PDF, by key or by a link that holds for an hour."""

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

from billing.api import TAG
from billing.documents.answers import pdf_response
from billing.documents.invoices import RELATED
from billing.models import Invoice
from config.doors import ApiDoor, found, query_of
from config.openapi import operation

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
    return found(Invoice.objects.select_related(*RELATED), "invoice", public_id=invoice_id)


class InvoicePdf(ApiDoor):
    """Fetch an invoice as PDF: the same bytes each time, while nothing happens to the invoice."""

    content_negotiation_class = AnyType

    @operation(
        "getInvoicePdf", "Get an invoice as PDF", tag=TAG, parameters=[PdfQuery], errors=(400, 404),
        answers={(200, PDF): FILE, (200, "application/json"): PdfLink},
    )  # fmt: skip
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        asked, invoice = query_of(request, PdfQuery), shown(invoice_id)
        if not asked["url"]:
            return pdf_response(request, invoice)
        address = reverse("shared_document", args=[signing.dumps(invoice.public_id, salt=SALT)])
        return Response({"presigned_url": request.build_absolute_uri(address)})


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
        return pdf_response(request, shown(invoice_id))
