"""Write and keep the electronic invoices of documents that are being finalized, in the same transaction."""

import hashlib
from collections.abc import Iterable, Sequence

from billing.einvoices.credit_notes import describe_credit_note
from billing.einvoices.invoices import describe_invoice, find_invoice_vat
from billing.einvoices.problems import list_problems
from billing.einvoices.taxes import Vat
from billing.einvoices.writing import Terms, write_xml
from billing.models import CreditNote, EInvoice, Invoice, InvoiceLine
from billing.refusals import CannotIssue
from customers.kinds import EInvoiceFormat


def check_einvoices(drafts: Sequence[Invoice]) -> None:
    """Refuse to finalize drafts whose electronic invoice lacks something. Raises `CannotIssue`, which says what.

    The drafts have their parties already.
    """
    for draft in drafts:
        if problems := list_problems(draft, seller=draft.seller, buyer=draft.billed_to):
            raise CannotIssue(
                f"{draft} can't be an electronic invoice yet. " + " ".join(problem.text for problem in problems)
            )


def store_einvoices(invoices: Iterable[Invoice]) -> None:
    """Write the electronic invoices of numbered invoices whose customers get some."""
    rows = [
        _build(EInvoice(invoice=invoice), wanted, _describe(invoice))
        for invoice in invoices
        if (wanted := invoice.billed_to.get("einvoice_format"))
    ]
    EInvoice.objects.bulk_create(rows)


def store_credit_note(note: CreditNote) -> None:
    """Write the electronic credit note, in the format of its invoice, if that has one."""
    invoice = note.invoice
    of_invoice = EInvoice.objects.filter(invoice=invoice).first()
    if of_invoice is None:
        return
    vat = _find_vat(invoice, _lines_of(invoice))
    lines = list(note.lines.select_related("invoice_line").order_by("position"))
    terms = describe_credit_note(note, lines, vat, seller=invoice.seller, buyer=note.billed_to)
    _build(EInvoice(credit_note=note), of_invoice.format, terms).save()


def _describe(invoice: Invoice) -> Terms:
    lines = _lines_of(invoice)
    vat = _find_vat(invoice, lines)
    return describe_invoice(invoice, lines, vat, seller=invoice.seller, buyer=invoice.billed_to)


def _find_vat(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Vat:
    vat = find_invoice_vat(invoice, lines, invoice.billed_to)
    if vat is None:
        raise CannotIssue(f"The VAT of {invoice} isn't known.")
    return vat


def _lines_of(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.select_related("feature").order_by("position"))


def _build(row: EInvoice, einvoice_format: str, terms: Terms) -> EInvoice:
    xml = write_xml(terms, EInvoiceFormat(einvoice_format))
    row.format, row.xml, row.sha256 = einvoice_format, xml.decode(), hashlib.sha256(xml).hexdigest()
    return row
