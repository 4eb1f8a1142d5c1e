"""API views for refunds: payments back to the customer that were recorded for credit notes."""

from decimal import Decimal
from typing import ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.credit_notes import credit_note_of
from billing.api.fields import ComputedMoney, amount_field
from billing.api.names import MONEY_METHODS, PAYMENT_METHODS
from billing.models import Payment, PaymentKind
from billing.settlement.payments import Receipt
from billing.settlement.refunds import record_refund
from config.api.contract import ContractRecord
from config.api.fields import BlankAsNullField, ConstantField, ConstantText, DayIn, TextField
from config.api.filters import MomentFilter, page
from config.api.openapi import listed, operation
from config.api.reasons import ReasonIn
from config.api.views import ApiView, get_or_404, read_body

TAG = "Payments"


class RefundOut(ContractRecord):
    """A recorded refund. Refunds are paid outside of Countinghouse, so their status never changes."""

    nulls = (
        *("attempt", "cancelled_at", "failed_at", "failure_reason", "initiated_at", "metadata", "payment_id"),
        *("gateway_idempotency_token", "gateway_metadata", "gateway_refund_id", "gateway_tracking_id"),
        *("payment_gateway", "refund_destination_id"),
    )

    id = serializers.CharField(source="public_id")
    amount = ComputedMoney(help_text="Positive.")
    settled_amount = ComputedMoney()
    currency = serializers.CharField()
    invoice_id = serializers.CharField(source="invoice.public_id", allow_null=True)
    credit_note_id = serializers.CharField(source="credit_note.public_id", allow_null=True)
    refund_status = ConstantText("SUCCEEDED")
    refund_destination = ConstantText("OUT_OF_BAND")
    refund_reason = ConstantText("OTHER")
    reason = BlankAsNullField()
    reference = BlankAsNullField()
    idempotency_key = serializers.CharField(allow_null=True)
    status = ConstantField("published")
    succeeded_at = serializers.DateTimeField(source="recorded_at")
    created_at = serializers.DateTimeField(source="recorded_at")
    updated_at = serializers.DateTimeField(source="recorded_at")

    def get_amount(self, refund: Payment) -> Decimal:
        return -refund.amount

    def get_settled_amount(self, refund: Payment) -> Decimal:
        return -refund.amount


class RefundFilter(filters.FilterSet):
    invoice_id = filters.CharFilter(field_name="invoice__public_id")
    credit_note_id = filters.CharFilter(field_name="credit_note__public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    start_time = MomentFilter(field_name="recorded_at", lookup_expr="gte")
    end_time = MomentFilter(field_name="recorded_at", lookup_expr="lt")

    class Meta:
        model = Payment
        fields: ClassVar[list[str]] = []


def refunds() -> QuerySet[Payment]:
    """Load refunds that weren't reversed, newest first."""
    rows = Payment.objects.filter(kind=PaymentKind.REFUND, reversed_by=None)
    return rows.select_related("invoice", "credit_note").order_by("-pk")


class Refunds(ApiView):
    """List refunds, newest first."""

    @operation(
        "listRefunds", "List refunds", tag=TAG, answers={200: listed("RefundList", RefundOut)}, filters=RefundFilter
    )
    def get(self, request: Request) -> Response:
        return page(request, refunds(), RefundFilter, RefundOut)


class RefundIn(ReasonIn):
    """A refund that you paid to the customer for a credit note."""

    amount = amount_field()
    payment_method_type = serializers.ChoiceField(list(MONEY_METHODS), default="BANK_TRANSFER")
    reference = TextField(255, help_text="The bank's or payment provider's reference.")
    received_on = DayIn(required=False, allow_null=True, help_text="Defaults to today.")
    note = TextField(2000)
    idempotency_key = TextField(255, help_text="A repeated key returns the existing refund.")


class CreditNoteRefund(ApiView):
    """Record a refund of a credit note. Fails (400) if the amount exceeds the refund due."""

    write_scope = "billing:write"

    @operation(
        "refundCreditNote",
        "Record a refund",
        tag=TAG,
        body=RefundIn,
        answers={201: RefundOut},
        may_wait=True,
        errors=(400, 404),
        example={"amount": "2.00", "reason": "Billed twice", "payment_method_type": "BANK_TRANSFER"},
    )
    def post(self, request: Request, credit_note_id: str) -> Response:
        note, body, now = credit_note_of(credit_note_id), read_body(request, RefundIn), timezone.now()
        receipt = Receipt(
            amount=body["amount"],
            received_on=body.get("received_on") or now.date(),
            method=PAYMENT_METHODS[body["payment_method_type"]],
            reference=body.get("reference") or "",
            note=body.get("note") or "",
            idempotency_key=body.get("idempotency_key") or None,
        )
        refund = record_refund(note.invoice, receipt, reason=body["reason"], credit_note=note, now=now, by=None)
        return Response(RefundOut(refunds().get(pk=refund.pk)).data, status=201)


class OneRefund(ApiView):
    """Retrieve a refund."""

    @operation("getRefund", "Retrieve a refund", tag=TAG, answers={200: RefundOut}, errors=(404,))
    def get(self, request: Request, refund_id: str) -> Response:
        return Response(RefundOut(get_or_404(refunds(), "refund", public_id=refund_id)).data)
