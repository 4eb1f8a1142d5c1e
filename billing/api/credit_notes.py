"""API views for credit notes."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters.credit_notes import CreditNoteFilter
from billing.api.names import CREDIT_REASONS
from billing.api.serializers.credit_notes import CreditNoteIn, CreditNoteOut, credit_notes
from billing.api.serializers.invoices import VoidIn
from billing.models import CreditNote, CreditNoteState, Invoice
from billing.refusals import CannotCredit
from billing.settlement.credit_notes import (
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    void_credit_note,
)
from config.api.errors import invalid
from config.api.filters import page
from config.api.openapi import listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body, waiting_response
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval

WRITE = "billing:write"
TAG = "Credit notes"
LIST = listed("CreditNoteList", CreditNoteOut)


def credit_note_of(credit_note_id: str) -> CreditNote:
    return get_or_404(credit_notes(), "credit note", public_id=credit_note_id)


def _answer(note: CreditNote, status: int = 200) -> Response:
    return Response(CreditNoteOut(credit_notes().get(pk=note.pk)).data, status=status)


class CreditNotes(ApiView):
    """Create or list credit notes."""

    write_scope = WRITE

    @operation(
        "listCreditNotes",
        "List credit notes",
        tag=TAG,
        answers={200: LIST},
        filters=CreditNoteFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, credit_notes(), CreditNoteFilter, CreditNoteOut)

    @operation(
        "createCreditNote",
        "Create a credit note",
        refusals="`line_items` must be charges of the invoice: `invoice_line_item_id`, with an `amount` no larger "
        "than what remains.",
        tag=TAG,
        body=CreditNoteIn,
        answers={201: CreditNoteOut},
        may_wait=True,
        errors=(400, 404),
        example={
            "invoice_id": "inv_1",
            "reason": "BILLING_ERROR",
            "line_items": [{"invoice_line_item_id": "line_1", "amount": "10.00"}],
        },
        description="The amount can't exceed the remaining amount of a line or of the invoice. A credit note reduces "
        "the amount due; if the invoice is already paid, it is refunded. If finalizing it needs approval (202), the "
        "draft is created: it is the `object_id`.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, CreditNoteIn)
        invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=body["invoice_id"])
        with transaction.atomic():
            note = draft_credit_note(
                invoice,
                amounts_of(invoice, body.get("line_items") or []),
                reason=CREDIT_REASONS[body["reason"]],
                memo=body.get("memo") or "",
                refund_to=body["refund_to"],
                idempotency_key=body.get("idempotency_key") or None,
                metadata=body.get("metadata"),
                by=None,
            )
            if body["process_credit_note"] and note.is_draft:
                return _finalize_or_wait(note)
        return _answer(note, status=201)


def _finalize_or_wait(note: CreditNote) -> Response:
    """Finalize a new credit note. If that needs approval, the draft stays, and the approval is requested."""
    now = timezone.now()
    try:
        finalized = finalize_credit_note(note, now=now, by=None)
    except ApprovalNeeded as needed:
        return waiting_response(request_approval(needed, now=now))
    return _answer(finalized, status=201)


def amounts_of(invoice: Invoice, line_items: list[dict[str, Any]]) -> dict[int, Decimal]:
    """Return the amounts to credit by the invoice line's key. Without line items, the remaining amount of each line."""
    charges = {charge.line.public_id: charge for charge in list_creditable_lines(invoice)}
    if not line_items:
        return {charge.line.pk: charge.remaining for charge in charges.values()}
    amounts: dict[int, Decimal] = {}
    for index, item in enumerate(line_items):
        charge = charges.get(item["invoice_line_item_id"])
        if charge is None:
            raise invalid({f"line_items[{index}].invoice_line_item_id": ["The invoice has no such charge."]})
        amounts[charge.line.pk] = amounts.get(charge.line.pk, Decimal(0)) + item["amount"]
    return amounts


class CreditNoteSearch(ApiView):
    """Search credit notes."""

    is_reading = True

    @operation(
        "queryCreditNote",
        "Search credit notes",
        tag=TAG,
        body=search_body(CreditNoteFilter),
        answers={200: LIST},
    )
    def post(self, request: Request) -> Response:
        return page(request, credit_notes(), CreditNoteFilter, CreditNoteOut)


class OneCreditNote(ApiView):
    """Retrieve a credit note with its lines."""

    @operation("getCreditNote", "Retrieve a credit note", tag=TAG, answers={200: CreditNoteOut}, errors=(404,))
    def get(self, request: Request, credit_note_id: str) -> Response:
        return Response(CreditNoteOut(credit_note_of(credit_note_id)).data)


class CreditNoteFinalize(ApiView):
    """Finalize a draft credit note: it is numbered and takes effect. Fails (400) if it isn't a draft."""

    write_scope = WRITE

    @operation(
        "processCreditNote",
        "Finalize a credit note",
        tag=TAG,
        answers={200: CreditNoteOut},
        may_wait=True,
        errors=(400, 404),
    )
    def post(self, request: Request, credit_note_id: str) -> Response:
        note = credit_note_of(credit_note_id)
        if note.state != CreditNoteState.DRAFT:
            raise CannotCredit(f"{note} is {note.get_state_display().lower()}: only a draft can be finalized.")
        return _answer(finalize_credit_note(note, now=timezone.now(), by=None))


class CreditNoteVoid(ApiView):
    """Void a credit note. If it was finalized, it keeps its number. Fails (400) if its refund was paid."""

    write_scope = WRITE

    @operation(
        "voidCreditNote",
        "Void a credit note",
        tag=TAG,
        body=VoidIn,
        answers={200: CreditNoteOut},
        may_wait=True,
        errors=(400, 404),
        example={"reason": "Credited twice by mistake"},
    )
    def post(self, request: Request, credit_note_id: str) -> Response:
        note, body = credit_note_of(credit_note_id), read_body(request, VoidIn)
        if note.voided_at is not None:
            raise CannotCredit(f"{note} is already void.")
        return _answer(void_credit_note(note, reason=body["reason"], now=timezone.now(), by=None))
