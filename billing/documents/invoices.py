"""The document of an invoice. It shows the same content as the invoice's page."""

from collections.abc import Mapping, Sequence

from billing.documents.content import (
    Document,
    build_document,
    build_row,
    build_table,
    build_total,
    list_payment_details,
)
from billing.documents.rendering import render
from billing.explanation import page
from billing.explanation.comparison.invoices import compare_invoices, previous_invoice
from billing.explanation.page import CREDITED, PAID, PREPAID
from billing.lifecycle.finalize import billed_to
from billing.models import (
    CreditNote,
    CreditNoteState,
    EInvoice,
    EntryKind,
    Invoice,
    InvoiceLine,
    InvoiceState,
    LineKind,
)
from billing.models.company import seller
from billing.money import format_amount
from billing.wording import at_price, dates, day
from customers.kinds import EInvoiceFormat
from customers.periods import INSTANT, Period, local_date

COLUMNS = ("Description", "Quantity", "Free", "Charged", "Unit price", "Amount")
STAMPS = {InvoiceState.DRAFT: "DRAFT", InvoiceState.VOID: "VOID"}
RELATED = ("customer", "subscription__customer", "replaces", "replaced_by", "einvoice")
PARTS = ("lines__feature", "payments", "credit_notes", "credit_entries__grant")


def render_invoice(invoice: Invoice, *, site_url: str = "", sold_by: Mapping[str, str] | None = None) -> bytes:
    """Render an invoice as PDF. An unchanged invoice gives the same bytes.

    A draft shows customer and company as they are now, a finalized invoice as they were when it was finalized.
    `site_url` is the base of the link to its page; `sold_by` saves reading the company's profile.
    """
    document = build_invoice_document(invoice, site_url=site_url, sold_by=sold_by)
    return render(document, made_at=invoice.finalized_at or invoice.computed_at)


def build_file_name(invoice: Invoice) -> str:
    """Build the file name from the invoice's number, or from a draft's ID."""
    return f"{invoice.number or invoice.public_id}.pdf"


def build_invoice_document(
    invoice: Invoice, *, site_url: str = "", sold_by: Mapping[str, str] | None = None
) -> Document:
    """Build the content of an invoice, with numbers and dates formatted for people."""
    lines = list(invoice.lines.all())
    for line in lines:
        line.invoice = invoice
    company = invoice.seller or sold_by or seller()
    return build_document(
        f"Invoice {invoice.number}" if invoice.number else "Draft invoice",
        seller=company,
        buyer=invoice.billed_to or billed_to(invoice.customer),
        state="" if invoice.state == InvoiceState.FINALIZED else invoice.get_state_display().upper(),
        alarming=invoice.state in STAMPS,
        stamp=STAMPS.get(InvoiceState(invoice.state), ""),
        summary=_summarize(invoice),
        facts=_list_facts(invoice),
        notes=_list_notes(invoice),
        **build_table(COLUMNS, _build_groups(lines, invoice.currency)),
        empty="There are no charges on this invoice.",
        totals=_build_totals(invoice),
        closing=[*_explain_difference(invoice, company), *_list_payment_details(invoice, company)],
        link=f"{site_url.rstrip('/')}{invoice.get_absolute_url()}" if site_url else "",
        data=data_to_attach(invoice),
        foot=_build_footer(invoice, company),
    )


def data_to_attach(document: Invoice | CreditNote) -> str:
    """Return the XML that the document's PDF contains: that of Factur-X. Other formats have files of their own."""
    einvoice: EInvoice | None = getattr(document, "einvoice", None)
    return einvoice.xml if einvoice is not None and einvoice.format == EInvoiceFormat.FACTUR_X else ""


def _summarize(invoice: Invoice) -> list[tuple[str, str]]:
    """Return what is shown at the top: the amount due, and when it is due or was paid. Nothing is due on a draft."""
    if invoice.is_draft or invoice.state == InvoiceState.VOID:
        return []
    label, on = ("Paid", invoice.paid_on) if invoice.state == InvoiceState.PAID else ("Due", invoice.due_on)
    day_of = [(label, day(on))] if on is not None else []
    return [("Amount due", format_amount(invoice.amount_remaining, invoice.currency)), *day_of]


def _list_payment_details(invoice: Invoice, company: Mapping[str, str]) -> list[Document]:
    return [] if invoice.state in (InvoiceState.VOID, InvoiceState.PAID) else list_payment_details(company)


def _explain_difference(invoice: Invoice, company: Mapping[str, str]) -> list[Document]:
    """Say by cause why the total differs from that of the last invoice, if the company prints this."""
    before = previous_invoice(invoice) if company.get("explains_differences") else None
    if before is None:
        return []
    comparison, currency = compare_invoices(before, invoice), invoice.currency
    label = f"Compared with {before} of {format_amount(before.total, currency)}"
    causes = [
        f"{cause.label}: {'+' if amount > 0 else ''}{format_amount(amount, currency)}"
        for cause, amount, _ in comparison.by_cause
    ]
    return [{"label": label, "lines": causes or ["The total is the same."]}]


def _build_footer(invoice: Invoice, company: Mapping[str, str]) -> list[str]:
    ids = [invoice.public_id, *([invoice.subscription.public_id] if invoice.subscription is not None else [])]
    return [company.get("footer") or company["name"], " · ".join(ids)]


def _list_facts(invoice: Invoice) -> list[tuple[str, str]]:
    zone = invoice.timezone
    facts = [("Invoice number", invoice.number or "–")]
    facts += [("PO number", invoice.po_number)] if invoice.po_number else []
    days_by_label = (("Issued", invoice.issued_on), ("Due", invoice.due_on), ("Paid", invoice.paid_on))
    facts += [(label, day(on)) for label, on in days_by_label if on]
    if invoice.subscription is not None and invoice.subscription.customer_id != invoice.customer_id:
        facts.append(("Customer", invoice.subscription.customer.name))
    if invoice.period_start is not None and invoice.period_end is not None:
        period = Period(invoice.period_start, max(invoice.period_end, invoice.period_start + INSTANT))
        facts += [("For", invoice.get_kind_display()), ("Period", dates(period, zone)), ("Time zone", zone)]
    return [*facts, ("Currency", invoice.currency)]


def _list_notes(invoice: Invoice) -> list[str]:
    notes = []
    if invoice.is_draft:
        notes.append("This is a draft. It has no number and can still change. Please don't pay it.")
    if invoice.voided_at is not None:
        replacement = getattr(invoice, "replaced_by", None)
        replaced = f" It is replaced by {replacement}." if replacement is not None else ""
        voided_on = day(local_date(invoice.voided_at, invoice.timezone))
        notes.append(f"Voided on {voided_on}: {invoice.void_reason}. Nothing is due.{replaced}")
    if invoice.replaces is not None:
        notes.append(f"Replaces invoice {invoice.replaces.number}.")
    return [*notes, *filter(None, (invoice.tax_note, invoice.memo))]


def _build_groups(lines: Sequence[InvoiceLine], currency: str) -> list[tuple[str, list[Document]]]:
    groups = page.group_lines(lines, currency)
    return [(group.title, [_build_line_row(row, currency) for row in group.rows]) for group in groups]


def _build_line_row(row: page.LineRow, currency: str) -> Document:
    price = row.line.unit_amount
    if price is None and row.line.kind == LineKind.ITEM:  # entered as a total
        price = row.line.amount
    unit_price = at_price(price, currency) if price is not None else ""
    cells = (row.quantity, row.free, row.billable, unit_price, row.amount)
    return build_row(row.title, cells, detail=row.detail, steps=row.steps, negative=row.is_negative)


def _build_totals(invoice: Invoice) -> list[Document]:
    currency = invoice.currency
    steps = {
        PREPAID: _list_credits(invoice) if invoice.credits_applied else [],
        CREDITED: _list_credit_notes(invoice) if invoice.amount_credited else [],
        PAID: _list_payments(invoice) if invoice.amount_paid else [],
    }
    if invoice.tax_included:
        steps["Total"] = [f"includes {format_amount(invoice.tax_included, currency)} of tax"]
    rows = [
        build_total(label, amount, currency, grand=label == "Total", steps=steps.get(label, ()))
        for label, amount in page.list_totals(invoice)
    ]
    if invoice.state == InvoiceState.VOID:
        return rows
    label = "Amount due once finalized" if invoice.is_draft else "Amount due"
    return [*rows, build_total(label, invoice.amount_remaining, currency, grand=True)]


def _list_credits(invoice: Invoice) -> list[str]:
    """List the grants that paid part of the invoice, each with its amount."""
    entries = [entry for entry in invoice.credit_entries.all() if entry.kind == EntryKind.APPLIED]
    return [
        f"{entry.grant}: {format_amount(-entry.amount, invoice.currency)}"
        for entry in sorted(entries, key=lambda entry: entry.pk)
    ]


def _list_credit_notes(invoice: Invoice) -> list[str]:
    notes = [note for note in invoice.credit_notes.all() if note.state == CreditNoteState.FINALIZED]
    return [
        f"{note.number}: {format_amount(note.total, invoice.currency)}"
        for note in sorted(notes, key=lambda note: note.pk)
    ]


def _list_payments(invoice: Invoice) -> list[str]:
    return [
        f"{day(payment.received_on)}, {payment.get_kind_display().lower()}, "
        f"{payment.reference or payment.get_method_display().lower()}: "
        f"{format_amount(payment.applied, invoice.currency)}"
        for payment in sorted(invoice.payments.all(), key=lambda payment: (payment.received_on, payment.pk))
        if payment.applied
    ]
