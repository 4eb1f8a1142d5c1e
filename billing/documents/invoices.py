"""An invoice as a document: what its page shows, as it was frozen when it was finalized."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from billing.documents.content import Document, document, paying, row, table, total
from billing.documents.rendering import render
from billing.explanation import page
from billing.explanation.page import CREDITED, PAID, PREPAID
from billing.explanation.text import get_timezone
from billing.lifecycle.finalize import billed_to
from billing.models import CreditNoteState, EntryKind, Invoice, InvoiceLine, InvoiceState
from billing.models.company import seller
from billing.money import format_amount
from billing.wording import at_price, dates, day
from customers.periods import INSTANT, Period, local_date

COLUMNS = ("Description", "Quantity", "Free", "Charged", "Unit price", "Amount")
STAMPS = {InvoiceState.DRAFT: "DRAFT", InvoiceState.VOID: "VOID"}
RELATED = ("customer", "subscription", "replaces", "replaced_by")
PARTS = ("lines__feature", "payments", "credit_notes", "credit_entries__grant")


def invoice_pdf(invoice: Invoice, *, site_url: str = "", sold_by: Mapping[str, str] | None = None) -> bytes:
    """Lay an invoice out as PDF: the same bytes each time, as long as nothing happens to it.

    A draft shows customer and company as they are now, a finalized invoice as they were then. `site_url` is where its
    page is linked to; `sold_by` saves looking up the company's profile.
    """
    made = invoice_document(invoice, site_url=site_url, sold_by=sold_by)
    return render(made, made_at=invoice.finalized_at or invoice.computed_at)


def file_name(invoice: Invoice) -> str:
    """Name the file: the invoice's number, or a draft's id."""
    return f"{invoice.number or invoice.public_id}.pdf"


def invoice_document(invoice: Invoice, *, site_url: str = "", sold_by: Mapping[str, str] | None = None) -> Document:
    """Collect what the invoice says, as text and numbers written for people."""
    lines = list(invoice.lines.all())
    for line in lines:
        line.invoice = invoice
    company = invoice.seller or sold_by or seller()
    return document(
        f"Invoice {invoice.number}" if invoice.number else "Draft invoice",
        seller=company,
        buyer=invoice.billed_to or billed_to(invoice.customer),
        state="" if invoice.state == InvoiceState.FINALIZED else invoice.get_state_display().upper(),
        alarming=invoice.state in STAMPS,
        stamp=STAMPS.get(InvoiceState(invoice.state), ""),
        facts=_facts(invoice),
        notes=_notes(invoice),
        **table(COLUMNS, _groups(lines, invoice.currency)),
        empty="Nothing was left to charge.",
        totals=_totals(invoice),
        closing=[] if invoice.state in (InvoiceState.VOID, InvoiceState.PAID) else paying(company),
        link=f"{site_url.rstrip('/')}{invoice.get_absolute_url()}" if site_url else "",
        foot=_foot(invoice, company),
    )


def _foot(invoice: Invoice, company: Mapping[str, str]) -> list[str]:
    ids = [invoice.public_id, *([invoice.subscription.public_id] if invoice.subscription is not None else [])]
    return [company.get("footer") or company["name"], " · ".join(ids)]


def _facts(invoice: Invoice) -> list[tuple[str, str]]:
    zone = get_timezone(invoice)
    said = [("Invoice number", invoice.number or "—")]
    said += [(label, local_day(at, zone)) for label, at in (
        ("Issued", invoice.issued_at), ("Due", invoice.due_at), ("Paid", invoice.paid_at),
    ) if at]  # fmt: skip
    if invoice.period_start is not None and invoice.period_end is not None:
        period = Period(invoice.period_start, max(invoice.period_end, invoice.period_start + INSTANT))
        said += [("For", invoice.get_kind_display()), ("Period", dates(period, zone)), ("Time zone", zone)]
    return [*said, ("Currency", invoice.currency)]


def local_day(at: datetime, zone: str) -> str:
    return day(local_date(at, zone))


def _notes(invoice: Invoice) -> list[str]:
    said = []
    if invoice.is_draft:
        said.append("This is a draft. It has no number, can still change, and isn't to be paid.")
    if invoice.voided_at is not None:
        replaced = getattr(invoice, "replaced_by", None)
        by = f" It is replaced by {replaced}." if replaced is not None else ""
        when = local_day(invoice.voided_at, get_timezone(invoice))
        said.append(f"Void since {when}: {invoice.void_reason}. Nothing is to be paid.{by}")
    if invoice.replaces is not None:
        said.append(f"Replaces invoice {invoice.replaces.number}.")
    return [*said, *filter(None, (invoice.tax_note, invoice.memo))]


def _groups(lines: Sequence[InvoiceLine], currency: str) -> list[tuple[str, list[Document]]]:
    grouped = page.group_lines(lines, currency)
    return [(group.title, [_row(shown, currency) for shown in group.rows]) for group in grouped]


def _row(shown: page.LineRow, currency: str) -> Document:
    price = shown.line.unit_amount
    unit_price = at_price(price, currency) if price is not None else ""
    cells = (shown.quantity, shown.free, shown.billable, unit_price, shown.amount)
    return row(shown.title, cells, detail=shown.detail, steps=shown.steps, negative=shown.is_negative)


def _totals(invoice: Invoice) -> list[Document]:
    currency = invoice.currency
    steps = {
        PREPAID: _credits(invoice) if invoice.credits_applied else [],
        CREDITED: _credit_notes(invoice) if invoice.amount_credited else [],
        PAID: _payments(invoice) if invoice.amount_paid else [],
    }
    if invoice.tax_included:
        steps["Total"] = [f"contains {format_amount(invoice.tax_included, currency)} of tax"]
    rows = [
        total(label, amount, currency, grand=label == "Total", steps=steps.get(label, ()))
        for label, amount in page.list_totals(invoice)
    ]
    if invoice.state == InvoiceState.VOID:
        return rows
    label = "Amount due once finalized" if invoice.is_draft else "Amount due"
    return [*rows, total(label, invoice.amount_remaining, currency, grand=True)]


def _credits(invoice: Invoice) -> list[str]:
    """Name the credits that were used: which grant, how much of it."""
    entries = [entry for entry in invoice.credit_entries.all() if entry.kind == EntryKind.APPLIED]
    written = ((entry, format_amount(-entry.amount, invoice.currency)) for entry in entries)
    return [f"{entry.grant}: {amount}" for entry, amount in sorted(written, key=lambda pair: pair[0].pk)]


def _credit_notes(invoice: Invoice) -> list[str]:
    notes = [note for note in invoice.credit_notes.all() if note.state == CreditNoteState.FINALIZED]
    return [
        f"{note.number}: {format_amount(note.total, invoice.currency)}"
        for note in sorted(notes, key=lambda note: note.pk)
    ]


def _payments(invoice: Invoice) -> list[str]:
    return [
        f"{day(payment.received_on)}, {payment.get_kind_display().lower()}, "
        f"{payment.reference or payment.get_method_display().lower()}: "
        f"{format_amount(payment.amount, invoice.currency)}"
        for payment in sorted(invoice.payments.all(), key=lambda each: (each.received_on, each.pk))
    ]
