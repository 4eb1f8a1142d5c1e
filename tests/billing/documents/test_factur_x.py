"""The PDF of a Factur-X invoice is PDF/A-3 and contains the invoice as data."""

from io import BytesIO

import pikepdf
import pytest
from facturx import get_facturx_xml_from_pdf
from lxml import etree
from pypdf import PdfReader

from billing.documents.credit_notes import render_credit_note
from billing.documents.invoices import render_invoice
from billing.lifecycle.finalize import finalize
from billing.models import CompanyProfile, CreditNote, Invoice
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from tests.billing.einvoices.examples import SELLER
from tests.billing.einvoices.test_storing import make_buyer, make_draft
from tests.billing.invoices import ISSUED

pytestmark = pytest.mark.django_db
FX = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"


@pytest.fixture
def make_issued():
    CompanyProfile.objects.create(**SELLER)

    def make(einvoice_format: str) -> Invoice:
        finalize(make_draft(make_buyer(einvoice_format)), now=ISSUED)
        return Invoice.objects.get()

    return make


def read_metadata(pdf: bytes) -> dict[str, str]:
    """Read the file's properties, by their names without namespaces."""
    [packet] = [PdfReader(BytesIO(pdf), strict=True).trailer["/Root"]["/Metadata"].get_data()]
    root = etree.fromstring(packet)
    described = {element.text for element in root.iterfind(".//{http://www.aiim.org/pdfa/ns/property#}name")}
    values = {etree.QName(element).localname: element.text for element in root.iter() if element.tag.startswith(FX)}
    assert set(values) <= described, "PDF/A requires a description of every property"
    part, conformance = (
        root.findtext(f".//{{http://www.aiim.org/pdfa/ns/id/}}{name}") for name in ("part", "conformance")
    )
    return values | {"part": part, "conformance": conformance}


def test_the_pdf_contains_the_xml_that_was_issued_and_says_so(make_issued):
    invoice = make_issued("factur_x")
    pdf = render_invoice(invoice)
    assert get_facturx_xml_from_pdf(pdf) == ("factur-x.xml", invoice.einvoice.xml.encode())
    assert read_metadata(pdf) == {
        "DocumentFileName": "factur-x.xml",
        "DocumentType": "INVOICE",
        "Version": "1.0",
        "ConformanceLevel": "EN 16931",
        "part": "3",
        "conformance": "A",
    }
    root = PdfReader(BytesIO(pdf)).trailer["/Root"]
    assert [file.get_object()["/AFRelationship"] for file in root["/AF"]] == ["/Alternative"]
    with pikepdf.open(BytesIO(pdf)) as checked:
        assert checked.check_pdf_syntax() == []
    assert render_invoice(Invoice.objects.get()) == pdf


def test_the_pdf_of_a_credit_note_contains_its_xml(make_issued):
    invoice = make_issued("factur_x")
    amounts = {invoice.lines.get(position=1).pk: invoice.lines.get(position=1).amount}
    draft = draft_credit_note(invoice, amounts, reason="billing_error", by=None)
    note = CreditNote.objects.get(pk=finalize_credit_note(draft, now=ISSUED, by=None).pk)
    assert get_facturx_xml_from_pdf(render_credit_note(note)) == ("factur-x.xml", note.einvoice.xml.encode())


def test_the_xml_of_other_formats_is_a_file_of_its_own(make_issued):
    assert get_facturx_xml_from_pdf(render_invoice(make_issued("peppol"))) == (False, False)
