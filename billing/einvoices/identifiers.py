"""Identifiers of companies as electronic invoices need them: VAT IDs and electronic addresses. Pure."""

import re
from collections.abc import Mapping

from stdnum.ch import vat as swiss_vat
from stdnum.eu import vat as eu_vat
from stdnum.gb import vat as british_vat
from stdnum.no import mva as norwegian_vat

LABEL = re.compile(r"^\s*(vat|ust|tva|btw|iva|mwst|moms)\b[\w\s.-]*?[:#]?\s+(?=[A-Z]{2})", re.IGNORECASE)
SEPARATORS = re.compile(r"[\s./-]")
BEYOND_THE_EU = {"GB": british_vat, "CH": swiss_vat, "NO": norwegian_vat}
EMAIL = "EM"
# Schemes of national registers: the electronic address is the number of the company in the register.
REGISTERS = frozenset(("0002", "0007", "0009", "0037", "0106", "0184", "0190", "0191", "0192", "0196", "0208", "0216"))


def find_vat_id(tax_id: str) -> str:
    """Return the VAT ID that a tax ID contains, or "" if it contains none that is valid. Check digits are checked.

    >>> find_vat_id("VAT DE 136 695 976"), find_vat_id("DE123456789"), find_vat_id("EIN 12-3456789")
    ('DE136695976', '', '')
    """
    number = SEPARATORS.sub("", LABEL.sub("", tax_id)).upper()
    country = number[:2]
    if country in BEYOND_THE_EU:
        return number if BEYOND_THE_EU[country].is_valid(number) else ""
    return number if eu_vat.is_valid(number) else ""


def find_address(party: Mapping[str, str]) -> tuple[str, str]:
    """Return the scheme and the identifier of a party's electronic address: its own, or its email address.

    >>> find_address({"peppol_id": "0208:0123456749"}), find_address({"email": "ap@example.com"}), find_address({})
    (('0208', '0123456749'), ('EM', 'ap@example.com'), ('', ''))
    """
    if address := party.get("peppol_id"):
        scheme, _, identifier = address.partition(":")
        return scheme, identifier
    return (EMAIL, party["email"]) if party.get("email") else ("", "")
