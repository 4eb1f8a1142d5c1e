"""API views for payments: list, record and reverse."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import PaymentFilter
from billing.api.names import PAYMENT_METHODS
from billing.api.serializers.payments import PaymentCreate, PaymentOut, Reversal, payments
from billing.models import Invoice
from billing.settlement.payments import Receipt, record_payment, reverse_payment
from config.api.errors import invalid
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body

TAG = "Payments"
WRITE = "billing:write"


class Payments(ApiView):
    """Record a received payment, or list payments."""

    write_scope = WRITE

    @operation(
        "listPayments",
        "List payments",
        tag=TAG,
        answers={200: listed("PaymentList", PaymentOut)},
        filters=PaymentFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, payments(), PaymentFilter, PaymentOut)

    @operation(
        "createPayment",
        "Record a payment",
        tag=TAG,
        body=PaymentCreate,
        answers={201: PaymentOut},
        errors=(400, 404),
        example={
            "amount": "40.00",
            "currency": "USD",
            "destination_type": "INVOICE",
            "destination_id": "inv_1",
            "payment_method_type": "BANK_TRANSFER",
            "payment_method_id": "wire 7",
        },
        description="The amount can't exceed the remaining amount of the invoice. A reference is recorded once per "
        "invoice: a second request with the same reference returns the existing payment.",
    )
    def post(self, request: Request) -> Response:
        body, now = read_body(request, PaymentCreate), timezone.now()
        invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=body["destination_id"])
        if body["currency"].upper() != invoice.currency:
            raise invalid({"currency": [f"The invoice is in {invoice.currency}."]})
        receipt = Receipt(
            amount=body["amount"],
            received_on=body.get("received_on") or now.date(),
            method=PAYMENT_METHODS[body["payment_method_type"]],
            reference=body.get("payment_method_id") or "",
            note=body.get("note") or "",
            idempotency_key=body.get("idempotency_key") or None,
        )
        payment = record_payment(invoice, receipt, now=now, by=None)
        return Response(PaymentOut(payments().get(pk=payment.pk)).data, status=201)


class OnePayment(ApiView):
    """Retrieve a payment."""

    @operation("getPayment", "Retrieve a payment", tag=TAG, answers={200: PaymentOut}, errors=(404,))
    def get(self, request: Request, payment_id: str) -> Response:
        return Response(PaymentOut(get_or_404(payments(), "payment", public_id=payment_id)).data)


class PaymentReversal(ApiView):
    """Reverse a payment that bounced or was recorded by mistake. A second call returns the existing reversal."""

    write_scope = WRITE

    @operation(
        "reversePayment",
        "Reverse a payment",
        tag=TAG,
        body=Reversal,
        answers={200: PaymentOut},
        errors=(400, 404),
        example={"reason": "Bounced"},
    )
    def post(self, request: Request, payment_id: str) -> Response:
        payment, body = get_or_404(payments(), "payment", public_id=payment_id), read_body(request, Reversal)
        reversal = reverse_payment(payment, reason=body["reason"], now=timezone.now(), by=None)
        return Response(PaymentOut(payments().get(pk=reversal.pk)).data)
