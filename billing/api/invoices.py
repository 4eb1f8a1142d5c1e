"""API views for invoices."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import InvoiceFilter
from billing.api.one_off import ONE_OFF_EXAMPLE, create, update
from billing.api.serializers.invoices import (
    InvoiceOut,
    PreviewIn,
    VoidIn,
    invoice_headers,
    invoices,
    serialize_preview,
)
from billing.api.serializers.one_off import InvoiceUpdate, OneOffIn
from billing.api.serializers.payments import PaymentIn
from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import Invoice, InvoiceState, PaymentMethod
from billing.refusals import CannotChange
from billing.settlement.payments import Receipt, record_payment
from config.api.filters import list_parameters, page
from config.api.openapi import Message, listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body
from customers.api.subscriptions import subscription_of

TAG = "Invoices"
WRITE = "billing:write"
LIST = listed("InvoiceList", InvoiceOut)


def invoice_of(invoice_id: str) -> Invoice:
    return get_or_404(invoices(), "invoice", public_id=invoice_id)


def _answer(invoice_id: str, status: int = 200) -> Response:
    return Response(InvoiceOut(invoice_of(invoice_id)).data, status=status)


def listed_invoices(request: Request) -> Response:
    if list_parameters(request).get("skip_line_items", "") == "true":
        return page(request, invoice_headers(), InvoiceFilter, InvoiceOut, context={"lines": ()})
    return page(request, invoices(), InvoiceFilter, InvoiceOut)


class Invoices(ApiView):
    """Create a one-off invoice, or list invoices."""

    write_scope = WRITE

    @operation("listInvoices", "List invoices", tag=TAG, answers={200: LIST}, filters=InvoiceFilter)
    def get(self, request: Request) -> Response:
        return listed_invoices(request)

    @operation(
        "createInvoice",
        "Create a one-off invoice",
        tag=TAG,
        body=OneOffIn,
        answers={201: InvoiceOut},
        errors=(400, 404),
        example=ONE_OFF_EXAMPLE,
        description="The customer's taxes are added automatically. The request fails if the totals differ from "
        "those of the line items. A second request with the same `idempotency_key` returns the existing invoice.",
    )
    def post(self, request: Request) -> Response:
        return _answer(create(request).public_id, status=201)


class InvoiceSearch(ApiView):
    """Search invoices."""

    is_reading = True

    @operation("queryInvoice", "Search invoices", tag=TAG, body=search_body(InvoiceFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return listed_invoices(request)


class InvoicePreview(ApiView):
    """Preview a subscription's upcoming invoice: its usage so far, and the fees due at the end of the period."""

    is_reading = True

    @operation(
        "getInvoicePreview",
        "Preview the upcoming invoice",
        tag=TAG,
        body=PreviewIn,
        answers={200: InvoiceOut},
        errors=(400, 404),
        example={"subscription_id": "subs_1"},
        description="Nothing is stored. The preview is calculated as the invoice will be.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, PreviewIn)
        subscription = subscription_of(body["subscription_id"])
        preview = upcoming(subscription.pk, now=timezone.now())
        if preview.problem:
            raise CannotChange(preview.problem)
        return Response(serialize_preview(preview, subscription, hide_zero=body["hide_zero_charges_line_items"]))


class OneInvoice(ApiView):
    """Retrieve or update an invoice."""

    write_scope = WRITE

    @operation("getInvoice", "Retrieve an invoice", tag=TAG, answers={200: InvoiceOut}, errors=(404,))
    def get(self, request: Request, invoice_id: str) -> Response:
        return _answer(invoice_id)

    @operation(
        "updateInvoice",
        "Update an invoice",
        tag=TAG,
        body=InvoiceUpdate,
        answers={200: InvoiceOut},
        errors=(400, 404),
        example={"metadata": {"order": "7"}},
    )
    def put(self, request: Request, invoice_id: str) -> Response:
        update(request, invoice_of(invoice_id))
        return _answer(invoice_id)


class InvoiceFinalize(ApiView):
    """Finalize a draft: it is numbered and no longer changes. Fails (400) if it isn't a draft."""

    write_scope = WRITE

    @operation("finalizeInvoice", "Finalize an invoice", tag=TAG, answers={200: Message}, errors=(400, 404))
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice = invoice_of(invoice_id)
        if not invoice.is_draft:
            raise CannotChange(f"{invoice} is {invoice.get_state_display().lower()}: only a draft can be finalized.")
        finalized = finalize(invoice, now=timezone.now())
        return Response({"message": f"Invoice finalized: {finalized.number}"})


class InvoiceVoid(ApiView):
    """Void a finalized invoice. It keeps its number. Fails (400) if the invoice has payments."""

    write_scope = WRITE

    @operation(
        "voidInvoice",
        "Void an invoice",
        tag=TAG,
        body=VoidIn,
        answers={200: Message},
        errors=(400, 404),
        example={"reason": "Billed twice by mistake"},
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice, body = invoice_of(invoice_id), read_body(request, VoidIn)
        if invoice.voided_at is not None:
            raise CannotChange(f"{invoice} is already void.")
        void(invoice, reason=body["reason"], by=None, now=timezone.now())
        return Response({"message": "Invoice voided"})


class InvoicePayment(ApiView):
    """Record a payment of a finalized invoice. Fails (400) if the amount exceeds the remaining amount."""

    write_scope = WRITE

    @operation(
        "updateInvoicePaymentStatus",
        "Record a payment",
        tag=TAG,
        body=PaymentIn,
        answers={200: InvoiceOut},
        errors=(400, 404),
        example={"payment_status": "SUCCEEDED", "amount": "40.00", "reference": "wire 7"},
        description="Without an amount, the remaining amount is recorded. A paid invoice doesn't change.",
    )
    def put(self, request: Request, invoice_id: str) -> Response:
        invoice, body, now = invoice_of(invoice_id), read_body(request, PaymentIn), timezone.now()
        amount, reference = body.get("amount"), body.get("reference") or ""
        is_full = amount is None or (not reference and amount == invoice.amount_due)
        if invoice.state == InvoiceState.PAID and is_full:
            return Response(InvoiceOut(invoice).data)
        paid_amount = invoice.amount_remaining if amount is None else amount
        receipt = Receipt(paid_amount, now.date(), PaymentMethod.OTHER, reference)
        record_payment(invoice, receipt, now=now, by=None)
        return _answer(invoice_id)
