"""The parts of all documents as plain values: parties, rows, totals. Texts are made printable."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from babel import Locale

from billing.documents.typesetting import list_fonts
from billing.money import format_amount

LONGEST_WORD = 36
LONGEST_NUMBER = 20
LETTER_COUNTRIES = ("US", "CA", "MX")
# Control characters, which print as nothing, and marks that would change the reading direction of the text after them.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
RAW = ("link", "data")
BREAK = "\N{ZERO WIDTH SPACE}"

Document = dict[str, Any]


def make_printable(text: str) -> str:
    """Remove control characters, and let words that are too long for a column break."""
    printable = UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\t", " "))
    return LONG_WORD.sub(lambda word: _add_breaks(word[0], LONGEST_WORD), printable)


def _add_breaks(text: str, length: int) -> str:
    return BREAK.join(text[start : start + length] for start in range(0, len(text), length))


def make_values_printable(value: Any) -> Any:
    """Make every text of a document printable, also in nested values. Link URLs and attached data are not changed."""
    if isinstance(value, str):
        return make_printable(value)
    if isinstance(value, Mapping):
        return {name: inner if name in RAW else make_values_printable(inner) for name, inner in value.items()}
    return [make_values_printable(inner) for inner in value] if isinstance(value, Sequence) else value


def build_row(
    title: str, cells: Sequence[str] = (), *, detail: str = "", steps: Sequence[str] = (), negative: bool = False
) -> Document:
    """Build a row of the table: its title, the details below the title, and the cells beside it."""
    first_cell = {"title": title, "detail": detail, "steps": list(steps), "negative": negative}
    return first_cell | {"cells": [title, *cells]}


def build_total(
    label: str, amount: Decimal, currency: str, *, grand: bool = False, steps: Sequence[str] = ()
) -> Document:
    """Build a row of the totals."""
    row = {"label": label, "amount": format_amount(amount, currency), "grand": grand}
    return row | {"negative": amount < 0, "steps": list(steps)}


def format_address(party: Mapping[str, str]) -> list[str]:
    """Return the lines of a postal address, without empty ones."""
    town = " ".join(list_values(party, "address_postal_code", "address_city"))
    lines = [party.get("address_line1"), party.get("address_line2"), town, party.get("address_state")]
    code = party.get("address_country", "")
    return [line for line in (*lines, Locale("en").territories.get(code, code)) if line]


def list_values(party: Mapping[str, str], *names: str) -> list[str]:
    return [party[name] for name in names if party.get(name)]


def format_seller(seller: Mapping[str, str]) -> list[str]:
    """Return the lines about the company that issues a document."""
    contact = list_values(seller, "tax_id", "registration", "email", "phone", "website")
    return [seller["name"], *format_address(seller), *contact]


def format_buyer(buyer: Mapping[str, str]) -> list[str]:
    """Return the lines about the customer that a document is for."""
    attention = f"Attn. {buyer['contact']}" if buyer.get("contact") else ""
    tax = f"Tax ID {buyer['tax_id']}" if buyer.get("tax_id") else ""
    lines = [buyer["name"], attention, *format_address(buyer), tax, buyer.get("email", "")]
    return [line for line in [*lines, f"Customer {buyer['external_id']}"] if line]


def list_payment_details(seller: Mapping[str, str]) -> list[Document]:
    """List the bank details and payment terms that the company's profile contains."""
    parts = [("Bank details", seller.get("bank_details")), ("Payment terms", seller.get("payment_terms"))]
    return [{"label": label, "lines": text.splitlines()} for label, text in parts if text]


def build_table(columns: Sequence[str], groups: Sequence[tuple[str, Sequence[Document]]]) -> Document:
    """Build the table of a document. The first column takes the remaining width; columns without values are omitted.

    A column with a very long number gets a fixed width, so that the number breaks and the first column keeps room.
    """
    rows = [row for _, rows in groups for row in rows]
    shown = [i for i in range(len(columns)) if i == 0 or any(row["cells"][i] for row in rows)]
    longest = {i: max((len(row["cells"][i]) for row in rows), default=0) for i in shown[1:]}
    return {
        "columns": [{"label": columns[i], "wide": i == 0, "narrow": longest.get(i, 0) > LONGEST_NUMBER} for i in shown],
        "groups": [
            {
                "title": title,
                "rows": [row | {"cells": [_format_cell(row["cells"][i], i) for i in shown]} for row in rows],
            }
            for title, rows in groups
        ],
    }


def _format_cell(text: str, column: int) -> str:
    return text if column == 0 or len(text) <= LONGEST_NUMBER else _add_breaks(text, 4)


def build_document(
    title: str, *, seller: Mapping[str, str], buyer: Mapping[str, str], first_number: int = 1, **parts: Any
) -> Document:
    """Build a document from its parties and parts. Parts that aren't given are empty."""
    defaults = {
        "title": title,
        "running": f"{title} · {buyer['name']}",
        "author": seller["name"],
        "logo": seller.get("logo_text") or seller["name"],
        "paper": "us-letter" if seller.get("address_country") in LETTER_COUNTRIES else "a4",
        "fonts": list_fonts(buyer.get("address_country", "")),
        "state": "",
        "alarming": False,
        "stamp": "",
        "seller": format_seller(seller),
        "buyer": format_buyer(buyer),
        "buyer_label": "Billed to",
        "summary": [],
        "facts": [],
        "notes": [],
        "first_number": first_number,
        "empty": "",
        "totals": [],
        "closing": [],
        "link": "",
        "data": "",
        "foot": list_values(seller, "footer") or [seller["name"]],
    }
    document: Document = make_values_printable(defaults | parts)
    return document
