"""Random invoices and credit notes, of every category of VAT, follow the official rules of all formats."""

from decimal import Decimal

import pytest
from lxml import etree

from billing.einvoices.credit_notes import describe_credit_note
from billing.einvoices.invoices import describe_invoice, find_invoice_vat
from billing.einvoices.writing import write_xml
from customers.kinds import EInvoiceFormat
from tests.billing.einvoices.examples import make_credited, make_example
from tests.schematron import list_violations

FORMATS = list(EInvoiceFormat)


@pytest.mark.parametrize("tens", range(20))
def test_ten_random_invoices_and_their_credit_notes_follow_the_official_rules(tens):
    for seed in range(10 * tens, 10 * tens + 10):
        example, einvoice_format = make_example(seed), FORMATS[seed % len(FORMATS)]
        invoice, lines, parties = example.invoice, example.lines, {"seller": example.seller, "buyer": example.buyer}
        vat = find_invoice_vat(invoice, lines, example.buyer)
        xml = write_xml(describe_invoice(invoice, lines, vat, **parties), einvoice_format)
        assert list_violations(xml, einvoice_format) == [], seed
        assert read_totals(xml) == [invoice.total, invoice.amount_due], seed
        if (credited := make_credited(example)) is not None:
            note, note_lines = credited
            xml = write_xml(describe_credit_note(note, note_lines, vat, **parties), einvoice_format)
            assert list_violations(xml, einvoice_format) == [], seed
            assert read_totals(xml) == [note.total, note.total], seed


def read_totals(xml: bytes) -> list[Decimal]:
    """Read the total with tax (BT-112) and the amount due (BT-115), in either syntax."""
    root = etree.fromstring(xml)
    names = ("GrandTotalAmount", "DuePayableAmount", "TaxInclusiveAmount", "PayableAmount")
    return [Decimal(element.text) for name in names for element in root.iterfind(f".//{{*}}{name}")]
