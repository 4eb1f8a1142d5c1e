"""API views for joint invoices: list, retrieve, and record the payment of all sections.

Finalizing, voiding and reissuing a section concerns the whole joint invoice, so those views are the invoices'.
"""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters.joint_invoices import JointInvoiceFilter
from billing.api.invoices import TAG, WRITE
from billing.api.serializers.joint_invoices import JointInvoiceOut, joint_invoices
from billing.api.serializers.payments import PaymentIn
from billing.models import InvoiceState, JointInvoice, PaymentMethod
from billing.settlement.joint_invoices import record_joint_payment
from billing.settlement.payments import Receipt
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body


def joint_invoice_of(joint_invoice_id: str) -> JointInvoice:
    return get_or_404(joint_invoices(), "joint invoice", public_id=joint_invoice_id)


class JointInvoices(ApiView):
    """List joint invoices."""

    @operation(
        "listJointInvoices",
        "List joint invoices",
        tag=TAG,
        answers={200: listed("JointInvoiceList", JointInvoiceOut)},
        filters=JointInvoiceFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, joint_invoices(), JointInvoiceFilter, JointInvoiceOut)


class OneJointInvoice(ApiView):
    """Retrieve a joint invoice."""

    @operation(
        "getJointInvoice",
        "Retrieve a joint invoice",
        tag=TAG,
        answers={200: JointInvoiceOut},
        errors=(404,),
        description="A draft can still get sections. Its PDF is that of any of its sections.",
    )
    def get(self, request: Request, joint_invoice_id: str) -> Response:
        return Response(JointInvoiceOut(joint_invoice_of(joint_invoice_id)).data)


class JointInvoicePayment(ApiView):
    """Record a full or partial payment of a finalized joint invoice."""

    write_scope = WRITE

    @operation(
        "payJointInvoice",
        "Record a payment of a joint invoice",
        refusals="`amount` is required for a partial payment.",
        tag=TAG,
        body=PaymentIn,
        answers={200: JointInvoiceOut},
        errors=(400, 404),
        example={"payment_status": "SUCCEEDED", "amount": "40.00", "reference": "wire 7"},
        description="One payment, which is applied to the sections, in their order. "
        "Without an amount, the remaining amount is recorded. A paid joint invoice doesn't change.",
    )
    def put(self, request: Request, joint_invoice_id: str) -> Response:
        joint, body, now = joint_invoice_of(joint_invoice_id), read_body(request, PaymentIn), timezone.now()
        amount, reference = body.get("amount"), body.get("reference") or ""
        if joint.state == InvoiceState.PAID and (amount is None or (not reference and amount == joint.amount_due)):
            return Response(JointInvoiceOut(joint).data)
        paid_amount = joint.amount_remaining if amount is None else amount
        receipt = Receipt(paid_amount, now.date(), PaymentMethod.OTHER, reference, surplus_to=body["overpayment"])
        record_joint_payment(joint, receipt, now=now, by=None)
        return Response(JointInvoiceOut(joint_invoice_of(joint_invoice_id)).data)
