"""The seller (BG-4) and the buyer (BG-7) of an electronic invoice, and how the seller wants to be paid (BG-16)."""

from collections.abc import Mapping
from typing import Any

from billing.einvoices.identifiers import REGISTERS, find_address, find_vat_id
from customers.kinds import TaxCategory

Terms = dict[str, Any]
Party = Mapping[str, str]

SEPA_TRANSFER, TRANSFER = "58", "30"
ADDRESS = {
    "addr_l1": "address_line1",
    "addr_l2": "address_line2",
    "city": "address_city",
    "postcode": "address_postal_code",
    "country_subdivision": "address_state",
    "country_code": "address_country",
}


def describe_seller(seller: Party, category: TaxCategory) -> Terms:
    """Describe the company. A tax ID that isn't a VAT ID is its number at the tax office (BT-32)."""
    terms = _describe(seller) | _describe_tax_id(seller, category, other="tax_identifier")
    if "legal_identifier" not in terms and seller.get("registration"):
        terms["legal_identifier"] = seller["registration"]
    contact = {
        "name": seller.get("contact", ""),
        "phone": seller.get("phone", ""),
        "email": seller.get("email", ""),
    }
    return terms | {"contacts": [contact]}


def describe_buyer(buyer: Party, category: TaxCategory) -> Terms:
    """Describe the customer, with its external ID as the seller's number of it (BT-46)."""
    terms = _describe(buyer) | _describe_tax_id(buyer, category)
    terms["identifiers"] = {None: buyer["external_id"]}
    if buyer.get("contact"):
        terms["contacts"] = [{"name": buyer["contact"], "email": buyer.get("email", "")}]
    return terms


def describe_payment(seller: Party, *, number: str, currency: str) -> Terms:
    """State the account to pay to; euros in the area of SEPA need no other instruction. Nothing without an IBAN."""
    if not seller.get("iban"):
        return {}
    terms = {
        "BT-81": SEPA_TRANSFER if currency == "EUR" else TRANSFER,
        "BT-83": number,
        "BT-84": seller["iban"],
        "BT-85": seller["name"],
    }
    return terms | ({"BT-86": seller["bic"]} if seller.get("bic") else {})


def _describe(party: Party) -> Terms:
    scheme, address = find_address(party)
    terms: Terms = {"name": party["name"]}
    if scheme:
        terms |= {"einvoicing_addr": address, "einvoicing_addr_schemeid": scheme}
    if scheme in REGISTERS:
        terms |= {"legal_identifier": address, "legal_identifier_schemeid": scheme}
    return terms | describe_address(party)


def describe_address(party: Party) -> Terms:
    return {term: party[name] for term, name in ADDRESS.items() if party.get(name)}


def _describe_tax_id(party: Party, category: TaxCategory, *, other: str = "") -> Terms:
    """State the VAT ID. Outside the scope of VAT, the standard forbids it."""
    tax_id = party.get("tax_id", "")
    if not tax_id or category == TaxCategory.OUT_OF_SCOPE:
        return {}
    if vat_id := find_vat_id(tax_id):
        return {"vat_identifier": vat_id}
    return {other: tax_id} if other else {}
