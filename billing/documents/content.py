"""The parts that all documents are made of, as plain values: parties, rows, totals. Texts are made safe to print."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from babel import Locale

from billing.documents.rendering import fonts_for
from billing.money import format_amount

LONGEST_WORD = 36
LONGEST_NUMBER = 20
LETTER_COUNTRIES = ("US", "CA", "MX")
# Controls, which print as nothing, and the marks that would turn the reading direction of what follows.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
BREAK = "\N{ZERO WIDTH SPACE}"

Document = dict[str, Any]


def printable(text: str) -> str:
    """Leave out control characters, and let a word that is too long for a column break."""
    cleaned = UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\t", " "))
    return LONG_WORD.sub(lambda word: BREAK.join(_pieces(word[0])), cleaned)


def _pieces(word: str) -> list[str]:
    return [word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD)]


def cleaned(value: Any) -> Any:
    """Make every text of a document printable, however deep it lies. Addresses of links stay whole."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {name: inner if name == "link" else cleaned(inner) for name, inner in value.items()}
    return [cleaned(inner) for inner in value] if isinstance(value, Sequence) else value


def row(
    title: str, cells: Sequence[str] = (), *, detail: str = "", steps: Sequence[str] = (), negative: bool = False
) -> Document:
    """Make a row of the table: its title, what it says below, and the cells beside it."""
    shown = {"title": title, "detail": detail, "steps": list(steps), "negative": negative}
    return shown | {"cells": [title, *cells]}


def total(label: str, amount: Decimal, currency: str, *, grand: bool = False, steps: Sequence[str] = ()) -> Document:
    """Make a row at the foot."""
    shown = {"label": label, "amount": format_amount(amount, currency), "grand": grand}
    return shown | {"negative": amount < 0, "steps": list(steps)}


def address(party: Mapping[str, str]) -> list[str]:
    """Write a postal address as its lines; what isn't known is left out."""
    town = " ".join(filled(party, "address_postal_code", "address_city"))
    lines = [party.get("address_line1"), party.get("address_line2"), town, party.get("address_state")]
    code = party.get("address_country", "")
    return [line for line in (*lines, Locale("en").territories.get(code, code)) if line]


def filled(party: Mapping[str, str], *names: str) -> list[str]:
    return [party[name] for name in names if party.get(name)]


def seller_lines(seller: Mapping[str, str]) -> list[str]:
    """Write who sends a document."""
    contact = filled(seller, "tax_id", "registration", "email", "phone", "website")
    return [seller["name"], *address(seller), *contact]


def buyer_lines(buyer: Mapping[str, str]) -> list[str]:
    """Write whom a document is for."""
    attention = f"Attn. {buyer['contact']}" if buyer.get("contact") else ""
    tax = f"Tax id {buyer['tax_id']}" if buyer.get("tax_id") else ""
    lines = [buyer["name"], attention, *address(buyer), tax, buyer.get("email", "")]
    return [line for line in [*lines, f"Customer {buyer['external_id']}"] if line]


def paying(seller: Mapping[str, str]) -> list[Document]:
    """Say how to pay, as far as the company's profile does."""
    parts = [("Bank details", seller.get("bank_details")), ("Payment terms", seller.get("payment_terms"))]
    return [{"label": label, "lines": text.splitlines()} for label, text in parts if text]


def table(columns: Sequence[str], groups: Sequence[tuple[str, Sequence[Document]]]) -> Document:
    """Make the table of a document: the first column takes the room that is left, columns without a value are left out.

    A column that holds a very long number gets a fixed width and lets it break, so that the first one keeps room.
    """
    rows = [row for _, rows in groups for row in rows]
    kept = [i for i in range(len(columns)) if i == 0 or any(row["cells"][i] for row in rows)]
    longest = {i: max((len(row["cells"][i]) for row in rows), default=0) for i in kept[1:]}
    return {
        "columns": [{"label": columns[i], "wide": i == 0, "narrow": longest.get(i, 0) > LONGEST_NUMBER} for i in kept],
        "groups": [
            {"title": title, "rows": [row | {"cells": [_cell(row["cells"][i], i) for i in kept]} for row in rows]}
            for title, rows in groups
        ],
    }


def _cell(text: str, column: int) -> str:
    if column == 0 or len(text) <= LONGEST_NUMBER:
        return text
    return BREAK.join(text[at : at + 4] for at in range(0, len(text), 4))


def document(
    title: str, *, seller: Mapping[str, str], buyer: Mapping[str, str], first_number: int = 1, **parts: Any
) -> Document:
    """Put a document together from its parties and parts, with all that isn't given left empty."""
    whole = {
        "title": title,
        "running": f"{title} · {buyer['name']}",
        "author": seller["name"],
        "logo": seller.get("logo_text") or seller["name"],
        "paper": "us-letter" if seller.get("address_country") in LETTER_COUNTRIES else "a4",
        "fonts": fonts_for(buyer.get("address_country", "")),
        "state": "",
        "alarming": False,
        "stamp": "",
        "seller": seller_lines(seller),
        "buyer": buyer_lines(buyer),
        "buyer_label": "Billed to",
        "facts": [],
        "notes": [],
        "first_number": first_number,
        "empty": "",
        "totals": [],
        "closing": [],
        "link": "",
        "foot": filled(seller, "footer") or [seller["name"]],
    }
    made: Document = cleaned(whole | parts)
    return made
