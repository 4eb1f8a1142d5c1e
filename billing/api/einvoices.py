"""API views for electronic invoices: the XML of issued documents, and what a draft lacks to get one."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.documents import AnyType
from billing.api.invoices import TAG
from billing.api.serializers.einvoices import EInvoiceCheckOut
from billing.documents.responses import build_einvoice_response
from billing.lifecycle.einvoices import list_draft_problems
from billing.models import EInvoice, Invoice
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404

XML = "application/xml"
FILE = OpenApiResponse(OpenApiTypes.BINARY, "The XML.")


class InvoiceXml(ApiView):
    """Download the electronic invoice as it was issued."""

    content_negotiation_class = AnyType

    @operation(
        "getElectronicInvoice",
        "Download an electronic invoice",
        tag=TAG,
        errors=(404,),
        answers={(200, XML): FILE},
        description="The XML in the customer's format. Fails (404) for drafts and for invoices that have no XML.",
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        rows = EInvoice.objects.present().select_related("invoice")
        return build_einvoice_response(get_or_404(rows, "electronic invoice", invoice__public_id=invoice_id))


class InvoiceCheck(ApiView):
    """List what a draft lacks to be issued electronically."""

    @operation(
        "checkElectronicInvoice",
        "Check an electronic invoice",
        tag=TAG,
        errors=(404,),
        answers={200: EInvoiceCheckOut},
        description="A draft with problems can't be finalized. An invoice that is finalized has none.",
    )
    def get(self, request: Request, invoice_id: str) -> Response:
        invoices = Invoice.objects.select_related("customer", "subscription")
        invoice = get_or_404(invoices, "invoice", public_id=invoice_id)
        wanted = invoice.customer.einvoice_format or None
        return Response(EInvoiceCheckOut({"format": wanted, "problems": list_draft_problems(invoice)}).data)


class CreditNoteXml(ApiView):
    """Download the electronic credit note as it was issued."""

    content_negotiation_class = AnyType

    @operation(
        "getElectronicCreditNote",
        "Download an electronic credit note",
        tag="Credit notes",
        errors=(404,),
        answers={(200, XML): FILE},
        description="The XML in the format of the invoice. Fails (404) for drafts and if the invoice has no XML.",
    )
    def get(self, request: Request, credit_note_id: str) -> HttpResponse:
        rows = EInvoice.objects.present().select_related("credit_note")
        einvoice = get_or_404(rows, "electronic credit note", credit_note__public_id=credit_note_id)
        return build_einvoice_response(einvoice)
