"""The doors to invoices: preview, write, read, finalize, void, record a payment."""

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import InvoiceFilter
from billing.api.one_off import ONE_OFF_EXAMPLE, create, update
from billing.api.serializers.invoices import InvoiceOut, PreviewIn, VoidIn, serialize_invoices, serialize_preview
from billing.api.serializers.one_off import InvoiceUpdate, OneOffIn
from billing.api.serializers.payments import PaymentIn
from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import Invoice, InvoiceLine, InvoiceState, PaymentMethod
from billing.refusals import CannotChange
from billing.settlement.payments import Receipt, record_payment
from config.api.filters import Pages, apply_filters, list_parameters
from config.api.openapi import Message, listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body
from customers.api.subscriptions import subscription_of

TAG = "Invoices"
WRITE = "billing:write"
LIST = listed("InvoiceList", InvoiceOut)
LINES = InvoiceLine.objects.select_related(
    "price__feature", "price__version__plan", "adjusts", "adjusts_invoice"
).order_by("position")


def invoices() -> QuerySet[Invoice]:
    rows = Invoice.objects.select_related("customer", "subscription")
    return rows.prefetch_related(Prefetch("lines", LINES)).order_by("-pk")


def invoice_of(invoice_id: str) -> Invoice:
    return get_or_404(invoices(), "invoice", public_id=invoice_id)


def listed_invoices(request: Request) -> Response:
    pages = Pages()
    with_lines = list_parameters(request).get("skip_line_items", "") != "true"
    rows = invoices() if with_lines else Invoice.objects.select_related("customer", "subscription").order_by("-pk")
    cut = pages.paginate_queryset(apply_filters(request, rows, InvoiceFilter), request) or []
    return pages.get_paginated_response(serialize_invoices(cut, with_lines=with_lines))


class Invoices(ApiView):
    """List invoices, newest first; write a one-off one."""

    write_scope = WRITE

    @operation("listInvoices", "List invoices", tag=TAG, answers={200: LIST}, filters=InvoiceFilter)
    def get(self, request: Request) -> Response:
        return listed_invoices(request)

    @operation(
        "createInvoice", "Write a one-off invoice", tag=TAG, body=OneOffIn, answers={201: InvoiceOut},
        errors=(400, 404), example=ONE_OFF_EXAMPLE,
        description="The customer's taxes come on top. With other totals than the items come to it is refused. One "
        "`idempotency_key` makes one invoice; a second request with it answers the first one.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        made = create(request)
        return Response(serialize_invoices([invoice_of(made.public_id)])[0], status=201)


class InvoiceSearch(ApiView):
    """Find invoices by a body. Only reads."""

    is_reading = True

    @operation("queryInvoice", "Search invoices", tag=TAG, body=search_body(InvoiceFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return listed_invoices(request)


class InvoicePreview(ApiView):
    """Work out a subscription's upcoming invoice: usage so far, and the fees that come with the period's end."""

    is_reading = True

    @operation(
        "getInvoicePreview", "Preview the upcoming invoice", tag=TAG, body=PreviewIn, answers={200: InvoiceOut},
        errors=(400, 404), example={"subscription_id": "subs_1"},
        description="Nothing is stored. Worked out by the code that bills.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, PreviewIn)
        subscription = subscription_of(asked["subscription_id"])
        found_ = upcoming(subscription.pk, now=timezone.now())
        if found_.problem:
            raise CannotChange(found_.problem)
        return Response(serialize_preview(found_, subscription, hide_zero=asked["hide_zero_charges_line_items"]))


class OneInvoice(ApiView):
    """Read an invoice with its lines; change a draft, and what you keep with it."""

    write_scope = WRITE

    @operation("getInvoice", "Read an invoice", tag=TAG, answers={200: InvoiceOut}, errors=(404,))
    def get(self, request: Request, invoice_id: str) -> Response:
        return Response(serialize_invoices([invoice_of(invoice_id)])[0])

    @operation(
        "updateInvoice", "Change an invoice", tag=TAG, body=InvoiceUpdate, answers={200: InvoiceOut},
        errors=(400, 404), example={"metadata": {"order": "7"}},
    )  # fmt: skip
    def put(self, request: Request, invoice_id: str) -> Response:
        update(request, invoice_of(invoice_id))
        return Response(serialize_invoices([invoice_of(invoice_id)])[0])


class InvoiceFinalize(ApiView):
    """Give a draft its number and freeze it. Only a draft: anything else is refused (400)."""

    write_scope = WRITE

    @operation("finalizeInvoice", "Finalize an invoice", tag=TAG, answers={200: Message}, errors=(400, 404))
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice = invoice_of(invoice_id)
        if not invoice.is_draft:
            raise CannotChange(f"{invoice} is {invoice.get_state_display().lower()}: only a draft is finalized.")
        done = finalize(invoice, now=timezone.now())
        return Response({"message": f"Invoice finalized: {done.number}"})


class InvoiceVoid(ApiView):
    """Void a finalized invoice; it keeps its number. Refused (400) where money was paid on it."""

    write_scope = WRITE

    @operation("voidInvoice", "Void an invoice", tag=TAG, body=VoidIn, answers={200: Message}, errors=(400, 404),
               example={"reason": "Billed twice by mistake"})  # fmt: skip
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice, asked = invoice_of(invoice_id), read_body(request, VoidIn)
        if invoice.voided_at is not None:
            raise CannotChange(f"{invoice} is void already.")
        void(invoice, reason=asked["reason"], by=None, now=timezone.now())
        return Response({"message": "Invoice voided"})


class InvoicePayment(ApiView):
    """Record a payment of a finalized invoice: a part, or all that is left. More than is left is refused (400)."""

    write_scope = WRITE

    @operation(
        "updateInvoicePaymentStatus", "Record a payment", tag=TAG, body=PaymentIn, answers={200: InvoiceOut},
        errors=(400, 404), example={"payment_status": "SUCCEEDED", "amount": "40.00", "reference": "wire 7"},
        description="Without an amount, all that is left. A paid invoice stays as it is.",
    )  # fmt: skip
    def put(self, request: Request, invoice_id: str) -> Response:
        invoice, asked, now = invoice_of(invoice_id), read_body(request, PaymentIn), timezone.now()
        amount, reference = asked.get("amount"), asked.get("reference") or ""
        is_whole = amount is None or (not reference and amount == invoice.amount_due)
        if invoice.state == InvoiceState.PAID and is_whole:
            return Response(serialize_invoices([invoice])[0])
        wanted = invoice.amount_remaining if amount is None else amount
        receipt = Receipt(wanted, now.date(), PaymentMethod.OTHER, reference)
        record_payment(invoice, receipt, now=now, by=None)
        return Response(serialize_invoices([invoice_of(invoice_id)])[0])
