"""What an electronic invoice still lacks, in words for people: on the customer's page, on drafts, at finalization."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stdnum.de import leitweg

from billing.einvoices.amounts import fits
from billing.einvoices.identifiers import EMAIL, find_address, find_vat_id
from billing.einvoices.invoices import find_invoice_vat
from billing.einvoices.parties import Party
from billing.einvoices.taxes import charged_taxes
from billing.lines import split_lines
from billing.models import Invoice, InvoiceLine
from customers.kinds import EInvoiceFormat, TaxCategory

FACTUR_X, XRECHNUNG, PEPPOL = EInvoiceFormat.FACTUR_X, EInvoiceFormat.XRECHNUNG, EInvoiceFormat.PEPPOL
WITHOUT_VAT_ID = (TaxCategory.OUT_OF_SCOPE,)
BETWEEN_BUSINESSES = (TaxCategory.REVERSE_CHARGE, TaxCategory.INTRA_COMMUNITY)


class Place(StrEnum):
    """Where the missing value is entered."""

    COMPANY = "company"
    CUSTOMER = "customer"
    INVOICE = "invoice"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing or wrong, as a sentence that says what to do, and where to do it."""

    place: Place
    text: str


def list_problems(invoice: Invoice, *, seller: Party, buyer: Party) -> list[Problem]:
    """List what the electronic invoice of a draft lacks. Nothing for a customer that gets PDFs only."""
    if not buyer.get("einvoice_format"):
        return []
    wanted = EInvoiceFormat(buyer["einvoice_format"])
    lines = list(invoice.lines.order_by("position"))
    vat = find_invoice_vat(invoice, lines, buyer)
    problems = [*_check_invoice(invoice, lines)]
    if vat is None:
        text = "Assign a tax to the customer, at 0% if none is charged, or enter the reason without tax there."
        problems.append(Problem(Place.CUSTOMER, text))
    else:
        problems += check_vat_ids(seller, buyer, vat.category)
    if wanted == PEPPOL and not buyer.get("buyer_reference") and not invoice.po_number:
        text = "Enter the customer's buyer reference, or the PO number of the invoice: Peppol requires one of them."
        problems.append(Problem(Place.CUSTOMER, text))
    return [*list_party_problems(wanted, seller=seller, buyer=buyer), *problems]


def list_party_problems(wanted: EInvoiceFormat, *, seller: Party, buyer: Party) -> list[Problem]:
    """List what the company and the customer lack for a format, whatever the invoice is about."""
    company = [Problem(Place.COMPANY, text) for text in _check_seller(wanted, seller)]
    return [*company, *(Problem(Place.CUSTOMER, text) for text in _check_buyer(wanted, buyer))]


def check_vat_ids(seller: Party, buyer: Party, category: TaxCategory) -> Iterator[Problem]:
    """Check the tax IDs that a category of VAT requires."""
    if category in WITHOUT_VAT_ID:
        if not seller.get("registration"):
            text = "Enter the company's registration: invoices outside the scope of VAT show it instead of a VAT ID."
            yield Problem(Place.COMPANY, text)
        return
    if not find_vat_id(seller.get("tax_id", "")):
        yield Problem(Place.COMPANY, "Enter the company's VAT ID as its tax ID, for example VAT DE136695976.")
    if category in BETWEEN_BUSINESSES and not find_vat_id(buyer.get("tax_id", "")):
        text = f"Enter the customer's VAT ID as its tax ID: {category.label.lower()} requires it."
        yield Problem(Place.CUSTOMER, text)


def _check_seller(wanted: EInvoiceFormat, seller: Party) -> Iterator[str]:
    yield from _missing(seller, {"address_country": "country"}, "company")
    if wanted == XRECHNUNG:
        names = {"address_postal_code": "postal code", "address_city": "city", "contact": "contact person"}
        yield from _missing(seller, names | {"phone": "phone", "email": "email address", "iban": "IBAN"}, "company")
    yield from _check_address(wanted, seller, "company")


def _check_buyer(wanted: EInvoiceFormat, buyer: Party) -> Iterator[str]:
    yield from _missing(buyer, {"address_country": "country"}, "customer")
    if wanted == XRECHNUNG:
        yield from _missing(buyer, {"address_postal_code": "postal code", "address_city": "city"}, "customer")
        yield from _check_reference(buyer)
    yield from _check_address(wanted, buyer, "customer")
    if (tax_id := buyer.get("tax_id", "")) and not find_vat_id(tax_id) and tax_id[:2].isalpha():
        yield f"The customer's tax ID {tax_id} isn't a valid VAT ID. Check its digits, or remove it."


def _check_reference(buyer: Party) -> Iterator[str]:
    reference = buyer.get("buyer_reference", "")
    if not reference:
        yield "Enter the customer's buyer reference: XRechnung requires it. Authorities call it Leitweg-ID."
    elif reference[:2].isdigit() and "-" in reference and not leitweg.is_valid(reference):
        yield f"The buyer reference {reference} isn't a valid Leitweg-ID. Check its digits."


def _check_address(wanted: EInvoiceFormat, party: Party, who: str) -> Iterator[str]:
    scheme, _ = find_address(party)
    if wanted == PEPPOL and scheme in ("", EMAIL):
        yield f"Enter the {who}'s electronic address, its Peppol ID, for example 0208:0123456749."
    elif wanted == XRECHNUNG and not scheme:
        yield f"Enter the {who}'s electronic address, or its email address."


def _missing(party: Party, names: dict[str, str], who: str) -> Iterator[str]:
    """Name what a party lacks, in one sentence."""
    missing = [label for name, label in names.items() if not party.get(name)]
    if missing:
        listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        yield f"Enter the {who}'s {listed}."


def _check_invoice(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Iterator[Problem]:
    charges, adjustments = split_lines(lines)
    checks: Sequence[tuple[Callable[[], bool], str]] = (
        (lambda: bool(charges), "An electronic invoice needs at least one line."),
        (
            lambda: len(charged_taxes(adjustments)) <= 1,
            "Electronic invoices can't have more than one tax. Assign one tax to the customer.",
        ),
        (
            lambda: fits([line.amount for line in lines], invoice.currency),
            f"Electronic invoices allow two decimals, but amounts of {invoice.currency} have three.",
        ),
    )
    return (Problem(Place.INVOICE, text) for is_met, text in checks if not is_met())
