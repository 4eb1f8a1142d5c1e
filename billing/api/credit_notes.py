"""The doors to what is settled: payments received outside, and credit notes."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import CreditNoteFilter
from billing.api.names import CREDIT_REASONS
from billing.api.serializers.credit_notes import CreditNoteIn, CreditNoteOut, credit_notes, serialize_credit_notes
from billing.api.serializers.invoices import VoidIn
from billing.models import CreditNote, CreditNoteState, Invoice
from billing.refusals import CannotCredit
from billing.settlement.credit_notes import (
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    void_credit_note,
)
from config.api.filters import Pages, apply_filters
from config.api.openapi import listed, operation, search_body
from config.api.views import ApiView, get_or_404, invalid, read_body

WRITE = "billing:write"


CREDIT_NOTES = "Credit notes"


NOTE_LIST = listed("CreditNoteList", CreditNoteOut)


def shown_note(note: CreditNote) -> Any:
    return serialize_credit_notes([credit_notes().get(pk=note.pk)])[0]


class CreditNotes(ApiView):
    """List credit notes, newest first; draft one."""

    write_scope = WRITE

    @operation(
        "listCreditNotes", "List credit notes", tag=CREDIT_NOTES, answers={200: NOTE_LIST},
        filters=CreditNoteFilter,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        return listed_notes(request)

    @operation(
        "createCreditNote", "Draft a credit note", tag=CREDIT_NOTES, body=CreditNoteIn, answers={201: CreditNoteOut},
        errors=(400, 404),
        example={
            "invoice_id": "inv_1", "reason": "BILLING_ERROR",
            "line_items": [{"invoice_line_item_id": "line_1", "amount": "10.00"}],
        },
        description="More than is left of a line, or of the invoice, is refused. Whether it lowers what is due or "
        "gives money back follows from what is paid.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, CreditNoteIn)
        invoice = get_or_404(Invoice.objects.all(), "invoice", public_id=asked["invoice_id"])
        with transaction.atomic():
            note = draft_credit_note(
                invoice,
                amounts_of(invoice, asked.get("line_items") or []),
                reason=CREDIT_REASONS[asked["reason"]],
                memo=asked.get("memo") or "",
                refund_to=asked["refund_to"],
                idempotency_key=asked.get("idempotency_key") or None,
                metadata=asked.get("metadata"),
                by=None,
            )
            if asked["process_credit_note"] and note.is_draft:
                finalize_credit_note(note, now=timezone.now(), by=None)
        return Response(shown_note(note), status=201)


def amounts_of(invoice: Invoice, lines: list[dict[str, Any]]) -> dict[int, Decimal]:
    """Read the amounts of a credit note by the keys of the invoice's lines; without lines, all that is left of each."""
    charges = {each.line.public_id: each for each in list_creditable_lines(invoice)}
    if not lines:
        return {each.line.pk: each.remaining for each in charges.values()}
    amounts: dict[int, Decimal] = {}
    for place, line in enumerate(lines):
        each = charges.get(line["invoice_line_item_id"])
        if each is None:
            raise invalid({f"line_items[{place}].invoice_line_item_id": ["The invoice has no such charge."]})
        amounts[each.line.pk] = amounts.get(each.line.pk, Decimal(0)) + line["amount"]
    return amounts


def listed_notes(request: Request) -> Response:
    pages = Pages()
    cut = pages.paginate_queryset(apply_filters(request, credit_notes(), CreditNoteFilter), request) or []
    return pages.get_paginated_response(serialize_credit_notes(cut))


class CreditNoteSearch(ApiView):
    """Find credit notes by a body. Only reads."""

    is_reading = True

    @operation(
        "queryCreditNote", "Search credit notes", tag=CREDIT_NOTES, body=search_body(CreditNoteFilter),
        answers={200: NOTE_LIST},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        return listed_notes(request)


class OneCreditNote(ApiView):
    """Read a credit note with its lines."""

    @operation("getCreditNote", "Read a credit note", tag=CREDIT_NOTES, answers={200: CreditNoteOut}, errors=(404,))
    def get(self, request: Request, credit_note_id: str) -> Response:
        return Response(shown_note(get_or_404(credit_notes(), "credit note", public_id=credit_note_id)))


class CreditNoteFinalize(ApiView):
    """Give a draft credit note its number and let it take effect. Only a draft: anything else is refused (400)."""

    write_scope = WRITE

    @operation(
        "processCreditNote", "Finalize a credit note", tag=CREDIT_NOTES, answers={200: CreditNoteOut}, errors=(400, 404)
    )
    def post(self, request: Request, credit_note_id: str) -> Response:
        note = get_or_404(credit_notes(), "credit note", public_id=credit_note_id)
        if note.state != CreditNoteState.DRAFT:
            raise CannotCredit(f"{note} is {note.get_state_display().lower()}: only a draft is finalized.")
        return Response(shown_note(finalize_credit_note(note, now=timezone.now(), by=None)))


class CreditNoteVoid(ApiView):
    """Void a credit note; a finalized one keeps its number. Refused (400) where its refund was paid out."""

    write_scope = WRITE

    @operation(
        "voidCreditNote", "Void a credit note", tag=CREDIT_NOTES, body=VoidIn, answers={200: CreditNoteOut},
        errors=(400, 404), example={"reason": "Credited twice by mistake"},
    )  # fmt: skip
    def post(self, request: Request, credit_note_id: str) -> Response:
        note, asked = get_or_404(credit_notes(), "credit note", public_id=credit_note_id), read_body(request, VoidIn)
        if note.voided_at is not None:
            raise CannotCredit(f"{note} is void already.")
        return Response(shown_note(void_credit_note(note, reason=asked["reason"], now=timezone.now(), by=None)))
