"""A credit note as a document."""

from decimal import Decimal

from billing.documents.content import Document, document, row, table, total
from billing.documents.rendering import render
from billing.explanation.text import get_timezone
from billing.lifecycle.finalize import billed_to
from billing.models import CreditNote, CreditNoteState, RefundTo
from billing.models.company import seller
from billing.money import format_amount
from billing.wording import day
from customers.periods import local_date

COLUMNS = ("Description", "Credited", "Tax", "Total")
STAMPS = {CreditNoteState.DRAFT: "DRAFT", CreditNoteState.VOID: "VOID"}
RELATED = ("invoice__customer", "invoice__subscription")


def credit_note_pdf(note: CreditNote, *, site_url: str = "") -> bytes:
    """Lay a credit note out as PDF: the same bytes each time, as long as nothing happens to it.

    Company and customer are those of its invoice. Load it with `RELATED`.
    """
    made_at = note.finalized_at or note.created_at
    return render(credit_note_document(note, site_url=site_url), made_at=made_at)


def file_name(note: CreditNote) -> str:
    """Name the file: the credit note's number, or a draft's id."""
    return f"{note.number or note.public_id}.pdf"


def credit_note_document(note: CreditNote, *, site_url: str = "") -> Document:
    """Collect what the credit note says, as text and numbers written for people."""
    invoice = note.invoice
    state = CreditNoteState(note.state)
    return document(
        f"Credit note {note.number}" if note.number else "Draft credit note",
        seller=invoice.seller or seller(),
        buyer=note.billed_to or invoice.billed_to or billed_to(invoice.customer),
        buyer_label="For",
        state=STAMPS.get(state, ""),
        alarming=state in STAMPS,
        stamp=STAMPS.get(state, ""),
        facts=_facts(note),
        notes=_notes(note),
        **table(COLUMNS, [("", _rows(note))]),
        totals=_totals(note),
        link=f"{site_url.rstrip('/')}{invoice.get_absolute_url()}" if site_url else "",
    )


def _facts(note: CreditNote) -> list[tuple[str, str]]:
    zone = get_timezone(note.invoice)
    said = [("Credit note number", note.number or "—"), ("Of invoice", str(note.invoice))]
    for label, at in (("Invoice issued", note.invoice.issued_at), ("Issued", note.finalized_at)):
        said += [(label, day(local_date(at, zone)))] if at is not None else []
    return [*said, ("Reason", note.get_reason_display()), ("Currency", note.currency)]


def _notes(note: CreditNote) -> list[str]:
    said = ["This is a draft. It has no number, and can still change."] if note.is_draft else []
    if note.voided_at is not None:
        when = day(local_date(note.voided_at, get_timezone(note.invoice)))
        said.append(f"Void since {when}: {note.void_reason}. Nothing is credited.")
    return [*said, *filter(None, (note.memo,))]


def _rows(note: CreditNote) -> list[Document]:
    def written(amount: Decimal) -> str:
        return format_amount(amount, note.currency) if amount else ""

    return [
        row(line.description, (written(line.amount), written(line.tax_amount), written(line.total)))
        for line in note.lines.all()
    ]


def _totals(note: CreditNote) -> list[Document]:
    rows = [total("Subtotal", note.subtotal, note.currency)]
    rows += [total("Tax", note.tax_total, note.currency)] if note.tax_total else []
    steps = []
    if note.tax_included:
        steps.append(f"contains {format_amount(note.tax_included, note.currency)} of tax")
    if note.finalized_at is not None:
        off = note.total - note.refund_due
        steps += [f"{format_amount(off, note.currency)} taken off what was to be paid"] if off else []
        where = "added to prepaid credit" if note.refund_to == RefundTo.WALLET else "to be paid back"
        steps += [f"{format_amount(note.refund_due, note.currency)} {where}"] if note.refund_due else []
    return [*rows, total("Credited", note.total, note.currency, grand=True, steps=steps)]
