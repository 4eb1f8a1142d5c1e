"""API views for invoices."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters.invoices import InvoiceFilter
from billing.api.one_off import ONE_OFF_EXAMPLE, create, update
from billing.api.serializers.invoices import (
    InvoiceOut,
    InvoiceQuery,
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
from billing.lifecycle.void import delete_draft, void
from billing.models import Invoice, InvoiceState, PaymentMethod
from billing.refusals import CannotChange
from billing.settlement.payments import Receipt, record_payment
from config.api.filters import list_parameters, page, read_expansions
from config.api.openapi import Message, listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body, waiting_response
from config.approvals.models import Approval
from config.audit import recorded
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
        refusals="`currency` must be an ISO 4217 code, and `coupons` and `tax_rates` must exist. `line_items` have "
        "an `amount` or a `unit_amount`, and add up to the `subtotal`, `total` and `amount_due` that are "
        "given. `period_end` must be after `period_start`.",
        tag=TAG,
        body=OneOffIn,
        answers={201: InvoiceOut},
        may_wait=True,
        errors=(400, 404),
        example=ONE_OFF_EXAMPLE,
        description="The customer's taxes are added automatically. The request fails if the totals differ from "
        "those of the line items. A second request with the same `idempotency_key` returns the existing invoice. "
        "If finalizing negative items needs approval (202), the draft is created: it is the `object_id`.",
    )
    def post(self, request: Request) -> Response:
        created = create(request)
        return waiting_response(created) if isinstance(created, Approval) else _answer(created.public_id, status=201)


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
    """Retrieve or update an invoice, or delete a one-off draft."""

    write_scope = WRITE

    @operation(
        "getInvoice",
        "Retrieve an invoice",
        refusals="`expand` only takes the names that the list of invoices expands.",
        tag=TAG,
        answers={200: InvoiceOut},
        errors=(404,),
        parameters=[InvoiceQuery],
    )
    def get(self, request: Request, invoice_id: str) -> Response:
        read_expansions(request, InvoiceFilter)
        return _answer(invoice_id)

    @operation(
        "updateInvoice",
        "Update an invoice",
        refusals="`line_items` have an `amount` or a `unit_amount`, and a one-off invoice at least one. `period_end` "
        "must be after `period_start`.",
        tag=TAG,
        body=InvoiceUpdate,
        answers={200: InvoiceOut},
        errors=(400, 404),
        example={"metadata": {"order": "7"}},
    )
    def put(self, request: Request, invoice_id: str) -> Response:
        update(request, invoice_of(invoice_id))
        return _answer(invoice_id)

    @operation(
        "deleteInvoice",
        "Delete a one-off draft",
        tag=TAG,
        answers={204: None},
        errors=(400, 404),
        description="Only one-off drafts can be deleted: a subscription's period must be invoiced. Void a finalized "
        "invoice instead.",
    )
    def delete(self, request: Request, invoice_id: str) -> Response:
        delete_draft(invoice_of(invoice_id))
        return Response(status=204)


class InvoiceFinalize(ApiView):
    """Finalize a draft: it is numbered and no longer changes. Fails (400) if it isn't a draft."""

    write_scope = WRITE

    @operation(
        "finalizeInvoice",
        "Finalize an invoice",
        tag=TAG,
        answers={200: Message},
        may_wait=True,
        errors=(400, 404),
        description="Finalizing an invoice with negative items can need approval, like a grant of credit.",
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice = invoice_of(invoice_id)
        if not invoice.is_draft:
            raise CannotChange(f"{invoice} is {invoice.get_state_display().lower()}: only a draft can be finalized.")
        finalized = finalize(invoice, now=timezone.now())
        return Response({"message": f"Invoice finalized: {finalized.number}"})


class InvoiceVoid(ApiView):
    """Void a finalized invoice, which keeps its number, or delete a one-off draft. Fails (400) if it has payments.

    A subscription's draft can't be deleted (400): its period must be invoiced.
    """

    write_scope = WRITE

    @operation(
        "voidInvoice",
        "Void an invoice",
        tag=TAG,
        body=VoidIn,
        answers={200: Message},
        may_wait=True,
        errors=(400, 404),
        example={"reason": "Billed twice by mistake"},
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice, body = invoice_of(invoice_id), read_body(request, VoidIn)
        if invoice.voided_at is not None:
            raise CannotChange(f"{invoice} is already void.")
        if invoice.is_draft:
            with recorded(by=None, reason=body["reason"]):
                delete_draft(invoice)
            return Response({"message": "Draft deleted"})
        void(invoice, reason=body["reason"], by=None, now=timezone.now())
        return Response({"message": "Invoice voided"})


class InvoicePayment(ApiView):
    """Record a full or partial payment of a finalized invoice."""

    write_scope = WRITE

    @operation(
        "updateInvoicePaymentStatus",
        "Record a payment",
        refusals="`amount` is required for a partial payment.",
        tag=TAG,
        body=PaymentIn,
        answers={200: InvoiceOut},
        errors=(400, 404),
        example={"payment_status": "SUCCEEDED", "amount": "40.00", "reference": "wire 7"},
        description="Without an amount, the remaining amount is recorded. A paid invoice doesn't change. What is more "
        "than the remaining amount becomes prepaid credit of the customer, or stays unapplied.",
    )
    def put(self, request: Request, invoice_id: str) -> Response:
        invoice, body, now = invoice_of(invoice_id), read_body(request, PaymentIn), timezone.now()
        amount, reference = body.get("amount"), body.get("reference") or ""
        is_full = amount is None or (not reference and amount == invoice.amount_due)
        if invoice.state == InvoiceState.PAID and is_full:
            return Response(InvoiceOut(invoice).data)
        paid_amount = invoice.amount_remaining if amount is None else amount
        receipt = Receipt(paid_amount, now.date(), PaymentMethod.OTHER, reference, surplus_to=body["overpayment"])
        record_payment(invoice, receipt, now=now, by=None)
        return _answer(invoice_id)
