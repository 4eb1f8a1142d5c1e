"""API views for payments: list, record and reverse; use the part that is more than the amount due."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters.payments import PaymentFilter
from billing.api.names import PAYMENT_METHODS
from billing.api.serializers.payments import (
    DifferenceIn,
    PaymentBatch,
    PaymentBatchOut,
    PaymentCreate,
    PaymentOut,
    Reversal,
    SurplusIn,
    SurplusRefund,
    SurplusToInvoice,
    payments,
)
from billing.models import Invoice, Payment
from billing.money import UnknownCurrency, currency_places
from billing.settlement.differences import settle_difference
from billing.settlement.payments import Receipt, credit_surplus, record_payment, reverse_payment
from billing.settlement.receipts import (
    Application,
    CustomerReceipt,
    record_receipt,
    record_receipts,
)
from billing.settlement.surplus import apply_surplus, refund_surplus
from config.api.errors import invalid
from config.api.filters import page
from config.api.openapi import Message, listed, operation
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_of

TAG = "Payments"
WRITE = "billing:write"


def payment_of(payment_id: str) -> Payment:
    return get_or_404(payments(), "payment", public_id=payment_id)


def _answer(payment: Payment) -> Response:
    return Response(PaymentOut(payments().get(pk=payment.pk)).data)


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
        refusals="`currency` must be the invoice's, or an ISO 4217 code. `applications` and `apply_oldest_first` need "
        "the destination_type CUSTOMER: specify either of them.",
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
        description="What is more than the amount due becomes prepaid credit of the customer, or stays unapplied. A "
        "reference is recorded once per invoice: a repeated request with it returns the existing payment. With the "
        "destination_type CUSTOMER, one payment pays several invoices, or none yet.",
    )
    def post(self, request: Request) -> Response:
        body, now = read_body(request, PaymentCreate), timezone.now()
        if body["destination_type"] == "CUSTOMER":
            payment = record_receipt(_read_receipt(body, now), now=now, by=None)
        else:
            invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=body["destination_id"])
            if body["currency"].upper() != invoice.currency:
                raise invalid({"currency": [f"The invoice is in {invoice.currency}."]})
            payment = record_payment(invoice, _read_details(body, now), now=now, by=None)
        return Response(PaymentOut(payments().get(pk=payment.pk)).data, status=201)


class PaymentBatches(ApiView):
    """Record several payments together."""

    write_scope = WRITE

    @operation(
        "createPaymentBatch",
        "Record a batch of payments",
        refusals="Every payment has the `destination_type` CUSTOMER and either `applications` or "
        "`apply_oldest_first`, or neither. `currency` must be an ISO 4217 code. If one is refused, none is recorded.",
        tag=TAG,
        body=PaymentBatch,
        answers={201: PaymentBatchOut},
        errors=(400, 404),
        example={
            "payments": [
                {
                    "amount": "40.00",
                    "currency": "USD",
                    "destination_type": "CUSTOMER",
                    "destination_id": "cust_1",
                    "payment_method_type": "BANK_TRANSFER",
                    "payment_method_id": "wire 8",
                    "apply_oldest_first": True,
                }
            ]
        },
        description="For example the checks of a day. A repeated request returns the existing payments by their "
        "references or idempotency keys.",
    )
    def post(self, request: Request) -> Response:
        bodies, now = read_body(request, PaymentBatch)["payments"], timezone.now()
        for position, body in enumerate(bodies):
            if body["destination_type"] != "CUSTOMER":
                raise invalid({f"payments[{position}].destination_type": ["Use CUSTOMER in a batch."]})
        recorded = record_receipts([_read_receipt(body, now) for body in bodies], now=now, by=None)
        rows = payments().in_bulk([payment.pk for payment in recorded])
        return Response(PaymentBatchOut({"payments": [rows[payment.pk] for payment in recorded]}).data, status=201)


def _read_details(body: dict[str, Any], now: datetime) -> Receipt:
    return Receipt(
        amount=body["amount"],
        received_on=body.get("received_on") or now.date(),
        method=PAYMENT_METHODS[body["payment_method_type"]],
        reference=body.get("payment_method_id") or "",
        note=body.get("note") or "",
        idempotency_key=body.get("idempotency_key") or None,
        surplus_to=body["overpayment"],
    )


def _read_receipt(body: dict[str, Any], now: datetime) -> CustomerReceipt:
    """Read a payment of a customer. Its invoices are checked when it is recorded; an unknown one is 404."""
    customer, currency = customer_of(body["destination_id"]), body["currency"].upper()
    try:
        currency_places(currency)
    except UnknownCurrency as unknown:
        raise invalid({"currency": [f"{currency} isn't an ISO 4217 currency code."]}) from unknown
    applications, details = read_applications(body), _read_details(body, now)
    return CustomerReceipt(customer, currency, details, applications, oldest_first=body["apply_oldest_first"])


def read_applications(body: dict[str, Any]) -> list[Application]:
    """Read the `applications` of a body, or raise 404 for an unknown invoice."""
    return [
        Application(
            get_or_404(Invoice.objects.all(), "invoice", public_id=application["invoice_id"]),
            *(application[name] for name in ("amount", "bank_charge", "write_off")),
        )
        for application in body.get("applications") or []
    ]


class InvoiceDifference(ApiView):
    """Settle a small part of an invoice's amount due without money."""

    write_scope = WRITE

    @operation(
        "settleInvoiceDifference",
        "Write off a small difference, or record a bank charge",
        tag=TAG,
        body=DifferenceIn,
        answers={201: PaymentOut},
        errors=(400, 404),
        example={"amount": "0.02", "difference_type": "WRITE_OFF", "reason": "Rounding by the customer"},
        description="The company's profile sets the largest write-off and bank charge of an invoice, and the accounts "
        "of the general ledger. For more, create a credit note.",
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=invoice_id)
        body, now = read_body(request, DifferenceIn), timezone.now()
        receipt = Receipt(
            amount=body["amount"],
            received_on=body.get("received_on") or now.date(),
            method=PAYMENT_METHODS[body["difference_type"]],
            idempotency_key=body.get("idempotency_key") or None,
        )
        row = settle_difference(invoice, receipt, reason=body["reason"], now=now, by=None)
        return Response(PaymentOut(payments().get(pk=row.pk)).data, status=201)


class OnePayment(ApiView):
    """Retrieve or reverse a payment."""

    write_scope = WRITE

    @operation("getPayment", "Retrieve a payment", tag=TAG, answers={200: PaymentOut}, errors=(404,))
    def get(self, request: Request, payment_id: str) -> Response:
        return Response(PaymentOut(payment_of(payment_id)).data)

    @operation(
        "deletePayment",
        "Reverse a payment without a reason",
        tag=TAG,
        answers={200: Message},
        errors=(400, 404),
        description="Payments are never deleted: the payment is reversed, as with `reversePayment`.",
    )
    def delete(self, request: Request, payment_id: str) -> Response:
        payment = get_or_404(payments(), "payment", public_id=payment_id)
        reverse_payment(payment, reason="Deleted through the API", now=timezone.now(), by=None)
        return Response({"message": "Payment reversed"})


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
        payment, body = payment_of(payment_id), read_body(request, Reversal)
        return _answer(reverse_payment(payment, reason=body["reason"], now=timezone.now(), by=None))


class PaymentApplication(ApiView):
    """Pay an invoice from the unapplied amount of a payment."""

    write_scope = WRITE

    @operation(
        "applyPayment",
        "Apply an unapplied amount to an invoice",
        tag=TAG,
        body=SurplusToInvoice,
        answers={200: PaymentOut},
        errors=(400, 404),
        example={"invoice_id": "inv_1", "amount": "15.00"},
        description="The invoice must be the customer's, finalized and in the payment's currency.",
    )
    def post(self, request: Request, payment_id: str) -> Response:
        payment, body = payment_of(payment_id), read_body(request, SurplusToInvoice)
        invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=body["invoice_id"])
        key = body.get("idempotency_key") or None
        row = apply_surplus(
            payment, invoice, amount=body.get("amount"), now=timezone.now(), by=None, idempotency_key=key
        )
        return _answer(row)


class PaymentCredit(ApiView):
    """Add the unapplied amount of a payment to the customer's prepaid credit."""

    write_scope = WRITE

    @operation(
        "creditPayment",
        "Turn an unapplied amount into prepaid credit",
        tag=TAG,
        body=SurplusIn,
        answers={200: PaymentOut},
        errors=(400, 404),
        example={"amount": "5.00"},
    )
    def post(self, request: Request, payment_id: str) -> Response:
        payment, body = payment_of(payment_id), read_body(request, SurplusIn)
        key = body.get("idempotency_key") or None
        row = credit_surplus(payment, amount=body.get("amount"), now=timezone.now(), by=None, idempotency_key=key)
        return _answer(row)


class PaymentRefund(ApiView):
    """Record a refund of the unapplied amount of a payment."""

    write_scope = WRITE

    @operation(
        "refundPayment",
        "Record a refund of an unapplied amount",
        tag=TAG,
        body=SurplusRefund,
        answers={200: PaymentOut},
        may_wait=True,
        errors=(400, 404),
        example={"amount": "5.00", "reason": "Paid twice", "payment_method_type": "BANK_TRANSFER"},
        description="Refunds of credit notes are recorded on the credit note.",
    )
    def post(self, request: Request, payment_id: str) -> Response:
        payment: Any = payment_of(payment_id)  # with its `unapplied` amount
        body, now = read_body(request, SurplusRefund), timezone.now()
        receipt = Receipt(
            amount=body.get("amount") or payment.unapplied,
            received_on=body.get("received_on") or now.date(),
            method=PAYMENT_METHODS[body["payment_method_type"]],
            reference=body.get("payment_method_id") or "",
            idempotency_key=body.get("idempotency_key") or None,
        )
        return _answer(refund_surplus(payment, receipt, reason=body["reason"], now=now, by=None))
