"""Electronic invoices are checked before a draft is finalized, written with it, and never change."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from lxml import etree

from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.one_off import Item, create_one_off
from billing.models import CompanyProfile, EInvoice, Invoice
from billing.refusals import CannotIssue
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from customers.kinds import EInvoiceFormat
from tests.billing.adjusting import make_tax
from tests.billing.einvoices.examples import BUYER, SELLER
from tests.billing.invoices import ISSUED
from tests.factories import make_customer
from tests.schematron import list_violations

pytestmark = pytest.mark.django_db


@pytest.fixture
def company():
    return CompanyProfile.objects.create(**SELLER)


def make_draft(customer, *items):
    """Draft an invoice of two items in euros: 3 days at 120.00, and 1,000 calls at 0.0125."""
    default = (
        Item("Consulting", unit_amount=Decimal(120), quantity=Decimal(3)),
        Item("API calls", unit_amount=Decimal("0.0125"), quantity=Decimal(1000)),
    )
    return create_one_off(customer, items or default, currency="EUR", now=ISSUED, by=None)


def make_buyer(einvoice_format, **columns):
    customer = make_customer(**BUYER | {"einvoice_format": einvoice_format} | columns)
    make_tax(19, of=customer)
    return customer


def read(xml: str, name: str) -> list[str]:
    return [element.text for element in etree.fromstring(xml.encode()).iterfind(f".//{{*}}{name}")]


@pytest.mark.parametrize("einvoice_format", EInvoiceFormat)
def test_an_invoice_and_its_credit_note_are_written_in_the_customers_format(company, einvoice_format):
    invoice = finalize(make_draft(make_buyer(einvoice_format)), now=ISSUED)
    note = draft_credit_note(
        invoice, {invoice.lines.get(position=1).pk: Decimal("120.00")}, reason="billing_error", by=None
    )
    note = finalize_credit_note(note, now=ISSUED + timedelta(days=1), by=None)
    for document in (invoice, note):
        assert document.einvoice.format == einvoice_format
        assert list_violations(document.einvoice.xml.encode(), einvoice_format) == []
    # 372.50 at 19% is 70.775, rounded to 70.78; credited are 120.00 and 22.80.
    names = ("GrandTotalAmount", "TaxInclusiveAmount")
    totals = [read(document.einvoice.xml, name) for document in (invoice, note) for name in names]
    assert [total for [total] in filter(None, totals)] == ["443.28", "142.80"]
    assert invoice.number in note.einvoice.xml


def test_what_is_missing_is_said_before_anything_is_numbered(company):
    company.contact = company.iban = ""
    company.save()
    customer = make_buyer("xrechnung", buyer_reference="", address_postal_code="", tax_id="BE0428759498")
    draft = make_draft(customer)
    with pytest.raises(CannotIssue) as refusal:
        finalize(draft, now=ISSUED)
    assert str(refusal.value) == (
        f"{draft} can't be an electronic invoice yet. Enter the company's contact person and IBAN. "
        "Enter the customer's postal code. "
        "Enter the customer's buyer reference: XRechnung requires it. Authorities call it Leitweg-ID. "
        "The customer's tax ID BE0428759498 isn't a valid VAT ID. Check its digits, or remove it."
    )
    assert Invoice.objects.get().is_draft
    draft.finalize_at = ISSUED
    draft.save()
    finalize_due(now=ISSUED + timedelta(days=1))
    draft.refresh_from_db()
    assert draft.hold_reason.startswith("It couldn't be finalized: ")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"tax_treatment": "reverse_charge", "tax_id": ""}, "reverse charge requires it"),
        ({"tax_id": "", "untaxed_category": "K", "tax_treatment": "exempt"}, "intra-community supply requires it"),
        ({"buyer_reference": "04011000-1234512345-07"}, "isn't a valid Leitweg-ID"),
    ],
)
def test_a_reason_without_tax_requires_its_ids(company, columns, text):
    with pytest.raises(CannotIssue, match=text):
        finalize(make_draft(make_buyer("xrechnung", **columns)), now=ISSUED)


def test_an_invoice_without_any_tax_needs_a_reason(company):
    customer = make_customer(**BUYER, einvoice_format="peppol")
    with pytest.raises(CannotIssue, match="Assign a tax to the customer"):
        finalize(make_draft(customer), now=ISSUED)
    customer.untaxed_category = "O"
    customer.save()
    invoice = finalize(Invoice.objects.get(), now=ISSUED)
    assert read(invoice.einvoice.xml, "TaxExemptionReasonCode") == ["VATEX-EU-O"]


def test_three_decimals_cant_be_an_electronic_invoice(company):
    item = Item("Consulting", unit_amount=Decimal("1.255"), quantity=Decimal(1))
    draft = create_one_off(make_buyer("factur_x"), [item], currency="BHD", now=ISSUED, by=None)
    with pytest.raises(CannotIssue, match="amounts of BHD have three"):
        finalize(draft, now=ISSUED)


def test_an_electronic_invoice_never_changes(company):
    invoice = finalize(make_draft(make_buyer("peppol")), now=ISSUED)
    for change in (lambda: EInvoice.objects.update(xml=""), lambda: EInvoice.objects.all().delete()):
        with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
            change()
    assert EInvoice.objects.get().invoice == invoice


def test_customers_who_get_pdfs_only_have_none(company):
    assert not EInvoice.objects.filter(invoice=finalize(make_draft(make_buyer("")), now=ISSUED)).exists()


def test_the_api_sets_the_format_says_what_is_missing_and_returns_the_xml(company, api):
    body = BUYER | {"einvoice_format": "peppol", "peppol_id": ""}
    created = api.post("customers", body, 201)
    customer = make_customer().__class__.objects.get(public_id=created["id"])
    make_tax(19, of=customer)
    draft = make_draft(customer)
    check = api.get(f"invoices/{draft.public_id}/einvoice/check")
    missing = "Enter the customer's electronic address, its Peppol ID, for example 0208:0123456749."
    assert check == {"format": "peppol", "problems": [{"place": "customer", "message": missing}]}
    assert api.get(f"invoices/{draft.public_id}/einvoice", 404)["code"]
    assert api.put(f"customers/{created['id']}", {"peppol_id": "428759497"}, 400)
    api.put(f"customers/{created['id']}", {"peppol_id": BUYER["peppol_id"]})
    invoice = finalize(Invoice.objects.get(pk=draft.pk), now=ISSUED)
    shown = api.get(f"invoices/{invoice.public_id}")["einvoice"]
    assert shown == {
        "format": "peppol",
        "file_name": f"{invoice.number}.xml",
        "sha256": invoice.einvoice.sha256,
    }
