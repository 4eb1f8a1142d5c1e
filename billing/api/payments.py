"""API views for payments: list, record and reverse."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import PaymentFilter
from billing.api.names import PAYMENT_METHODS
from billing.api.serializers.payments import PaymentCreate, PaymentOut, Reversal, payments, serialize_payments
from billing.models import Invoice
from billing.settlement.payments import Receipt, record_payment, reverse_payment
from config.api.errors import invalid
from config.api.filters import Pages, apply_filters
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body

PAYMENTS = "Payments"
WRITE = "billing:write"


class Payments(ApiView):
    """List payments, newest first; record one that was received."""

    write_scope = WRITE

    @operation(
        "listPayments", "List payments", tag=PAYMENTS, answers={200: listed("PaymentList", PaymentOut)},
        filters=PaymentFilter,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        pages = Pages()
        cut = pages.paginate_queryset(apply_filters(request, payments(), PaymentFilter), request) or []
        return pages.get_paginated_response(serialize_payments(cut))

    @operation(
        "createPayment", "Record a payment", tag=PAYMENTS, body=PaymentCreate, answers={201: PaymentOut},
        errors=(400, 404),
        example={
            "amount": "40.00", "currency": "USD", "destination_type": "INVOICE", "destination_id": "inv_1",
            "payment_method_type": "BANK_TRANSFER", "payment_method_id": "wire 7",
        },
        description="More than is left to pay is refused. One reference is recorded once for an invoice, a second "
        "request with it answers the first payment.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked, now = read_body(request, PaymentCreate), timezone.now()
        invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=asked["destination_id"])
        if asked["currency"].upper() != invoice.currency:
            raise invalid({"currency": [f"The invoice is in {invoice.currency}."]})
        receipt = Receipt(
            amount=asked["amount"],
            received_on=asked.get("received_on") or now.date(),
            method=PAYMENT_METHODS[asked["payment_method_type"]],
            reference=asked.get("payment_method_id") or "",
            note=asked.get("note") or "",
            idempotency_key=asked.get("idempotency_key") or None,
        )
        made = record_payment(invoice, receipt, now=now, by=None)
        return Response(serialize_payments([payments().get(pk=made.pk)])[0], status=201)


class OnePayment(ApiView):
    """Read a payment."""

    @operation("getPayment", "Read a payment", tag=PAYMENTS, answers={200: PaymentOut}, errors=(404,))
    def get(self, request: Request, payment_id: str) -> Response:
        return Response(serialize_payments([get_or_404(payments(), "payment", public_id=payment_id)])[0])


class PaymentReversal(ApiView):
    """Take a payment back: it bounced, or was recorded by mistake. The payment stays; a second call changes nothing."""

    write_scope = WRITE

    @operation(
        "reversePayment", "Reverse a payment", tag=PAYMENTS, body=Reversal, answers={200: PaymentOut},
        errors=(400, 404), example={"reason": "Bounced"},
    )  # fmt: skip
    def post(self, request: Request, payment_id: str) -> Response:
        payment, asked = get_or_404(payments(), "payment", public_id=payment_id), read_body(request, Reversal)
        row = reverse_payment(payment, reason=asked["reason"], now=timezone.now(), by=None)
        return Response(serialize_payments([payments().get(pk=row.pk)])[0])
