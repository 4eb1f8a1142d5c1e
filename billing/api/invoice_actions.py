"""API views for the actions on invoices: reissue, recalculate, hold, release, finalize, modify a one-off draft."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.invoices import TAG, WRITE, invoice_of
from billing.api.one_off import read_period
from billing.api.serializers.invoice_actions import (
    DraftSummaryOut,
    FinalizeManyIn,
    HoldManyIn,
    InvoiceModifyIn,
    OutcomesOut,
    RecalculateQuery,
    WorkflowOut,
)
from billing.api.serializers.invoices import InvoiceOut
from billing.lifecycle.finalize import finalize
from billing.lifecycle.one_off import Item, OneOffTerms, list_items, update_one_off
from billing.lifecycle.recompute import recompute
from billing.lifecycle.review import finalize_many, hold, hold_many, release, total_drafts
from billing.lifecycle.void import reissue
from billing.models import Invoice
from config.api.openapi import operation
from config.api.reasons import OptionalReasonIn, ReasonIn, reason_in
from config.api.views import ApiView, get_all_or_404, read_body, read_query, waiting_response
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval


class ModifiedInvoice(serializers.Serializer[Any]):
    """The modified draft."""

    invoice = InvoiceOut()


def _answer(invoice: Invoice) -> Response:
    return Response(InvoiceOut(invoice_of(invoice.public_id)).data)


class InvoiceReissue(ApiView):
    """Void a finalized invoice and draft its replacement. A void invoice is only replaced."""

    write_scope = WRITE

    @operation(
        "reissueInvoice",
        "Reissue an invoice",
        tag=TAG,
        body=ReasonIn,
        answers={200: InvoiceOut},
        may_wait=True,
        errors=(400, 404),
        example={"reason": "The price was wrong"},
        description="The answer is the replacement, a draft calculated from current data. A second request returns the "
        "same replacement. Fails (400) if the invoice has payments or credit notes, and nothing is voided.",
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        reason = read_body(request, ReasonIn)["reason"]
        return _answer(reissue(invoice_of(invoice_id), reason=reason, by=None, now=timezone.now()))


class InvoiceRecalculation(ApiView):
    """Recalculate a draft, or reissue a finalized or void invoice."""

    write_scope = WRITE

    @operation(
        "recalculateInvoice",
        "Recalculate or reissue an invoice",
        tag=TAG,
        body=OptionalReasonIn,
        answers={202: WorkflowOut},
        errors=(400, 404),
        example={"reason": "The price was wrong"},
        description="If voiding the invoice needs approval, `workflow_id` is the id of the request for it.",
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice, now = invoice_of(invoice_id), timezone.now()
        reason = reason_in(read_body(request, OptionalReasonIn)) or "Recalculated through the API"
        body = {"message": "Invoice recalculated", "invoice_id": invoice.public_id, "workflow_id": None, "run_id": None}
        try:
            draft = (
                recompute(invoice, now=now) if invoice.is_draft else reissue(invoice, reason=reason, by=None, now=now)
            )
            body["invoice_id"] = draft.public_id
        except ApprovalNeeded as needed:
            approval = request_approval(needed, now=now)
            body |= {"message": f"Waiting for approval: {approval}", "workflow_id": approval.public_id}
        return Response(WorkflowOut(body).data, status=202)


class DraftRecalculation(ApiView):
    """Recalculate a subscription's draft from its current usage and plan, and finalize it if requested."""

    write_scope = WRITE

    @operation(
        "recalculateInvoiceV2",
        "Recalculate a draft invoice",
        tag=TAG,
        parameters=[RecalculateQuery],
        answers={200: InvoiceOut},
        may_wait=True,
        errors=(400, 404),
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        query, now = read_query(request, RecalculateQuery), timezone.now()
        with transaction.atomic():
            draft = recompute(invoice_of(invoice_id), now=now)
            if query["finalize"]:
                try:
                    finalize(draft, now=now)
                except ApprovalNeeded as needed:  # the draft stays as recalculated
                    return waiting_response(request_approval(needed, now=now))
        return _answer(draft)


class InvoiceHold(ApiView):
    """Put a draft on hold: it can't be finalized, manually or automatically, until it is released."""

    write_scope = WRITE

    @operation(
        "holdInvoice",
        "Put a draft on hold",
        tag=TAG,
        body=ReasonIn,
        answers={200: InvoiceOut},
        errors=(400, 404),
        example={"reason": "Waiting for the customer's order number"},
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        reason = read_body(request, ReasonIn)["reason"]
        return _answer(hold(invoice_of(invoice_id), reason=reason, now=timezone.now(), by=None))


class InvoiceRelease(ApiView):
    """Release a draft from hold. It is finalized automatically after its grace period, or now if that has ended."""

    write_scope = WRITE

    @operation("releaseInvoice", "Release a draft", tag=TAG, answers={200: InvoiceOut}, errors=(400, 404))
    def post(self, request: Request, invoice_id: str) -> Response:
        return _answer(release(invoice_of(invoice_id), now=timezone.now(), by=None))


class FinalizeMany(ApiView):
    """Finalize many drafts. A draft that can't be finalized is skipped and doesn't stop the others."""

    write_scope = WRITE

    @operation(
        "finalizeInvoices",
        "Finalize many invoices",
        tag=TAG,
        body=FinalizeManyIn,
        answers={200: OutcomesOut},
        may_wait=True,
        errors=(400, 404),
        example={"invoice_ids": ["inv_1"]},
    )
    def post(self, request: Request) -> Response:
        ids = read_body(request, FinalizeManyIn)["invoice_ids"]
        drafts = get_all_or_404(Invoice.objects.all(), "invoice", ids)
        outcomes = finalize_many(drafts.values(), now=timezone.now(), by=None)
        return Response(OutcomesOut({"items": outcomes}).data)


class HoldMany(ApiView):
    """Put many drafts on hold, all or none. Invoices that aren't drafts are skipped."""

    write_scope = WRITE

    @operation(
        "holdInvoices",
        "Put many drafts on hold",
        tag=TAG,
        body=HoldManyIn,
        answers={200: OutcomesOut},
        errors=(400, 404),
        example={"invoice_ids": ["inv_1"], "reason": "The prices are being checked"},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, HoldManyIn)
        drafts = get_all_or_404(Invoice.objects.all(), "invoice", body["invoice_ids"])
        outcomes = hold_many(drafts.values(), reason=body["reason"], now=timezone.now(), by=None)
        return Response(OutcomesOut({"items": outcomes}).data)


class DraftSummary(ApiView):
    """Retrieve the number and total of drafts by currency, and how many are on hold."""

    @operation("getDraftSummary", "Retrieve the totals of drafts", tag=TAG, answers={200: DraftSummaryOut}, errors=())
    def get(self, request: Request) -> Response:
        return Response(DraftSummaryOut({"items": total_drafts()}).data)


class InvoiceModify(ApiView):
    """Add, change or remove line items of a one-off draft. The totals and taxes are calculated again."""

    write_scope = WRITE

    @operation(
        "executeInvoiceModify",
        "Modify a one-off draft",
        refusals="`items`, `line_item_id`, `line_item_ids` and `update` are required for the `action` that needs "
        "them. `period_end` must be after `period_start`.",
        tag=TAG,
        body=InvoiceModifyIn,
        answers={200: ModifiedInvoice},
        errors=(400, 404),
        example={
            "type": "line_item",
            "line_item_params": {
                "action": "add",
                "items": [{"display_name": "Travel", "quantity": "1", "amount": "120.00"}],
            },
        },
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        params, invoice = read_body(request, InvoiceModifyIn)["line_item_params"], invoice_of(invoice_id)
        items = modify_items(list_items(invoice), params)
        terms = OneOffTerms(
            invoice.memo,
            invoice.due_at,
            invoice.series,
            is_credit=invoice.total < 0,
            po_number=invoice.po_number,
        )
        changed = update_one_off(invoice, items, terms=terms, now=timezone.now(), by=None)
        return Response(ModifiedInvoice({"invoice": invoice_of(changed.public_id)}).data)


def modify_items(items: dict[str, Item], params: dict[str, Any]) -> Sequence[Item]:
    """Apply a change of line items to the items of a draft, by the ids of their lines. 404 for an unknown id."""
    ids = params.get("line_item_ids") or [params.get("line_item_id")]
    if params["action"] == "add":
        return [*items.values(), *(_item(values, None) for values in params["items"])]
    for line_item_id in ids:
        if line_item_id not in items:
            raise NotFound(f"There is no line item “{line_item_id}” on this invoice.")
    if params["action"] == "remove":
        return [item for line_id, item in items.items() if line_id not in ids]
    changed = {params["line_item_id"]: _item(params["update"], items[params["line_item_id"]])}
    return list((items | changed).values())


def _item(values: dict[str, Any], item: Item | None) -> Item:
    """Return an item with the values, the others as they are. An amount replaces the price of a unit."""
    amount, quantity = values.get("amount"), values.get("quantity")
    keeps_price = item is not None and amount is None
    return Item(
        description=values.get("display_name") or (item.description if item else ""),
        unit_amount=item.unit_amount if item is not None and keeps_price else None,
        quantity=quantity or (item.quantity if item else Decimal(1)),
        period=read_period(values) or (item.period if item else None),
        amount=item.amount if item is not None and keeps_price else amount,
    )
