"""The document of a credit note."""

from decimal import Decimal

from billing.documents.content import Document, build_document, build_row, build_table, build_total
from billing.documents.invoices import data_to_attach
from billing.documents.rendering import render
from billing.lifecycle.finalize import billed_to
from billing.models import CreditNote, CreditNoteState, RefundTo
from billing.models.company import seller
from billing.money import format_amount
from billing.wording import day
from customers.periods import local_date

COLUMNS = ("Description", "Credited", "Tax", "Total")
STAMPS = {CreditNoteState.DRAFT: "DRAFT", CreditNoteState.VOID: "VOID"}
RELATED = ("invoice__customer", "invoice__subscription", "einvoice")


def render_credit_note(note: CreditNote, *, site_url: str = "") -> bytes:
    """Render a credit note as PDF. An unchanged credit note gives the same bytes.

    Company and customer are those of its invoice. Load the credit note with `RELATED`.
    """
    made_at = note.finalized_at or note.created_at
    return render(build_credit_note_document(note, site_url=site_url), made_at=made_at)


def build_file_name(note: CreditNote) -> str:
    """Build the file name from the credit note's number, or from a draft's ID."""
    return f"{note.number or note.public_id}.pdf"


def build_credit_note_document(note: CreditNote, *, site_url: str = "") -> Document:
    """Build the content of a credit note, with numbers and dates formatted for people."""
    invoice = note.invoice
    state = CreditNoteState(note.state)
    return build_document(
        f"Credit note {note.number}" if note.number else "Draft credit note",
        seller=invoice.seller or seller(),
        buyer=note.billed_to or invoice.billed_to or billed_to(invoice.customer),
        buyer_label="For",
        state=STAMPS.get(state, ""),
        alarming=state in STAMPS,
        stamp=STAMPS.get(state, ""),
        facts=_list_facts(note),
        notes=_list_notes(note),
        **build_table(COLUMNS, [("", _build_rows(note))]),
        totals=_build_totals(note),
        data=data_to_attach(note),
        link=f"{site_url.rstrip('/')}{invoice.get_absolute_url()}" if site_url else "",
    )


def _list_facts(note: CreditNote) -> list[tuple[str, str]]:
    facts = [("Credit note number", note.number or "–"), ("For invoice", str(note.invoice))]
    for label, on in (("Invoice issued", note.invoice.issued_on), ("Issued", note.issued_on)):
        facts += [(label, day(on))] if on is not None else []
    return [*facts, ("Reason", note.get_reason_display()), ("Currency", note.currency)]


def _list_notes(note: CreditNote) -> list[str]:
    notes = ["This is a draft. It has no number and can still change."] if note.is_draft else []
    if note.voided_at is not None:
        voided_on = day(local_date(note.voided_at, note.invoice.timezone))
        notes.append(f"Voided on {voided_on}: {note.void_reason}. Nothing is credited.")
    return [*notes, *filter(None, (note.memo,))]


def _build_rows(note: CreditNote) -> list[Document]:
    def format_cell(amount: Decimal) -> str:
        return format_amount(amount, note.currency) if amount else ""

    return [
        build_row(line.description, (format_cell(line.amount), format_cell(line.tax_amount), format_cell(line.total)))
        for line in note.lines.all()
    ]


def _build_totals(note: CreditNote) -> list[Document]:
    rows = [build_total("Subtotal", note.subtotal, note.currency)]
    rows += [build_total("Tax", note.tax_total, note.currency)] if note.tax_total else []
    steps = []
    if note.tax_included:
        steps.append(f"includes {format_amount(note.tax_included, note.currency)} of tax")
    if note.finalized_at is not None:
        reduction = note.total - note.refund_due
        steps += [f"{format_amount(reduction, note.currency)} deducted from the amount due"] if reduction else []
        effect = "added to prepaid credit" if note.refund_to == RefundTo.WALLET else "to be refunded"
        steps += [f"{format_amount(note.refund_due, note.currency)} {effect}"] if note.refund_due else []
    return [*rows, build_total("Credited", note.total, note.currency, grand=True, steps=steps)]
