"""The document of an invoice. It shows the same content as the invoice's page.

A section of a joint invoice has no document of its own: it is on the document of the joint invoice, with the lines of
all its sections, grouped by subscription.
"""

from collections.abc import Mapping, Sequence

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

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
    InvoiceState,
    JointInvoice,
    LineKind,
)
from billing.models.company import seller
from billing.money import format_amount
from billing.wording import at_price, dates, day
from customers.kinds import EInvoiceFormat
from customers.periods import INSTANT, Period, local_date

COLUMNS = ("Description", "Quantity", "Free", "Charged", "Unit price", "Amount")
STAMPS = {InvoiceState.DRAFT: "DRAFT", InvoiceState.VOID: "VOID"}
RELATED = ("customer", "subscription__customer", "replaces", "replaced_by", "einvoice", "joint")
PARTS = ("lines__feature", "payments", "credit_notes", "credit_entries__grant")


def render_invoice(invoice: Invoice, *, site_url: str = "", sold_by: Mapping[str, str] | None = None) -> bytes:
    """Render an invoice as PDF. An unchanged invoice gives the same bytes.

    A draft shows customer and company as they are now, a finalized invoice as they were when it was finalized.
    `site_url` is the base of the link to its page; `sold_by` saves reading the company's profile.
    """
    document = build_invoice_document(invoice, site_url=site_url, sold_by=sold_by)
    return render(document, made_at=invoice.finalized_at or invoice.computed_at)


def build_file_name(invoice: Invoice) -> str:
    """Build the file name from the number of the document, or from a draft's ID."""
    bill, _ = _bill_of(invoice)
    return f"{bill.number or bill.public_id}.pdf"


def _bill_of(invoice: Invoice) -> tuple[Invoice | JointInvoice, list[Invoice]]:
    """Return what the document is of, the invoice or its joint invoice, and the invoices on it."""
    joint = invoice.joint if invoice.joint_id is not None else None
    if joint is None:
        return invoice, [invoice]
    prefetch_related_objects([joint], Prefetch("sections", _load_sections()))
    return (joint, joint.parts) if len(joint.parts) > 1 else (invoice, [invoice])


def _load_sections() -> QuerySet[Invoice]:
    return Invoice.objects.select_related(*RELATED).prefetch_related(*PARTS, "lines__plan_version__plan")


def build_invoice_document(
    invoice: Invoice, *, site_url: str = "", sold_by: Mapping[str, str] | None = None
) -> Document:
    """Build the content of an invoice, with numbers and dates formatted for people."""
    bill, sections = _bill_of(invoice)
    first = sections[0]
    company = first.seller or sold_by or seller()
    state = InvoiceState(bill.state)
    return build_document(
        f"Invoice {bill.number}" if bill.number else "Draft invoice",
        seller=company,
        buyer=first.billed_to or billed_to(first.customer),
        state="" if state == InvoiceState.FINALIZED else state.label.upper(),
        alarming=state in STAMPS,
        stamp=STAMPS.get(state, ""),
        summary=_summarize(bill),
        facts=_list_facts(bill) if isinstance(bill, Invoice) else _list_joint_facts(bill),
        notes=list(dict.fromkeys(note for section in sections for note in _list_notes(section))),
        **build_table(COLUMNS, _build_groups(sections)),
        empty="There are no charges on this invoice.",
        totals=_build_totals(bill, sections),
        closing=[
            *(part for section in sections for part in _explain_difference(section, company)),
            *_list_payment_details(bill, company),
        ],
        link=f"{site_url.rstrip('/')}{first.get_absolute_url()}" if site_url else "",
        data=data_to_attach(invoice),
        foot=_build_footer(bill, sections, company),
    )


def data_to_attach(document: Invoice | CreditNote) -> str:
    """Return the XML that the document's PDF contains: that of Factur-X. Other formats have files of their own."""
    einvoice: EInvoice | None = getattr(document, "einvoice", None)
    return einvoice.xml if einvoice is not None and einvoice.format == EInvoiceFormat.FACTUR_X else ""


def _summarize(invoice: Invoice | JointInvoice) -> list[tuple[str, str]]:
    """Return what is shown at the top: the amount due, and when it is due or was paid. Nothing is due on a draft."""
    if invoice.is_draft or invoice.state == InvoiceState.VOID:
        return []
    label, on = ("Paid", invoice.paid_on) if invoice.state == InvoiceState.PAID else ("Due", invoice.due_on)
    day_of = [(label, day(on))] if on is not None else []
    return [("Amount due", format_amount(invoice.amount_remaining, invoice.currency)), *day_of]


def _list_payment_details(invoice: Invoice | JointInvoice, company: Mapping[str, str]) -> list[Document]:
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


def _build_footer(bill: Invoice | JointInvoice, sections: Sequence[Invoice], company: Mapping[str, str]) -> list[str]:
    subscriptions = [section.subscription.public_id for section in sections if section.subscription is not None]
    return [company.get("footer") or company["name"], " · ".join([bill.public_id, *subscriptions])]


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


def _list_joint_facts(joint: JointInvoice) -> list[tuple[str, str]]:
    """List the facts of a joint invoice. The periods are those of its sections, above their lines."""
    facts = [("Invoice number", joint.number or "–")]
    facts += [("PO number", joint.po_number)] if joint.po_number else []
    days_by_label = (("Issued", joint.issued_on), ("Due", joint.due_on), ("Paid", joint.paid_on))
    facts += [(label, day(on)) for label, on in days_by_label if on]
    zones = dict.fromkeys(section.timezone for section in joint.parts)
    return [
        *facts,
        ("Subscriptions", str(len(joint.parts))),
        ("Time zone", ", ".join(zones)),
        ("Currency", joint.currency),
    ]


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


def _build_groups(sections: Sequence[Invoice]) -> list[tuple[str, list[Document]]]:
    """Build the groups of lines: those of each subscription after each other, with its total."""
    groups: list[tuple[str, list[Document]]] = []
    for section in sections:
        lines = list(section.lines.all())
        for line in lines:
            line.invoice = section
        own = page.group_lines(lines, section.currency)
        rows = [(group.title, [_build_line_row(row, section.currency) for row in group.rows]) for group in own]
        if len(sections) == 1:
            return rows
        name = name_section(section)
        total = build_row(
            "Total of this subscription", ("", "", "", "", format_amount(section.total, section.currency))
        )
        groups += [(f"{name} · {title}", group_rows) for title, group_rows in rows]
        groups.append((name, [total]))
    return groups


def name_section(section: Invoice) -> str:
    """Name a section by its number, the subscription's plan, who uses it if another customer pays, and the period."""
    subscription = section.subscription
    if subscription is None or section.period_start is None or section.period_end is None:
        return str(section)
    plans = dict.fromkeys(line.plan_version.plan.name for line in section.lines.all() if line.plan_version is not None)
    user = [subscription.customer.name] if subscription.customer_id != section.customer_id else []
    period = Period(section.period_start, max(section.period_end, section.period_start + INSTANT))
    parts = [", ".join(plans) or subscription.key or subscription.public_id, *user, dates(period, section.timezone)]
    return f"{section.number or 'Draft'}: {', '.join(parts)}"


def _build_line_row(row: page.LineRow, currency: str) -> Document:
    price = row.line.unit_amount
    if price is None and row.line.kind == LineKind.ITEM:  # entered as a total
        price = row.line.amount
    unit_price = at_price(price, currency) if price is not None else ""
    cells = (row.quantity, row.free, row.billable, unit_price, row.amount)
    return build_row(row.title, cells, detail=row.detail, steps=row.steps, negative=row.is_negative)


def _build_totals(invoice: Invoice | JointInvoice, sections: Sequence[Invoice]) -> list[Document]:
    currency = invoice.currency
    steps = {
        PREPAID: [step for section in sections if section.credits_applied for step in _list_credits(section)],
        CREDITED: [step for section in sections if section.amount_credited for step in _list_credit_notes(section)],
        PAID: [step for section in sections if section.amount_paid for step in _list_payments(section)],
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
