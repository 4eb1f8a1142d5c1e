"""Suggest what an entry pays: by invoice number, amount, payer's account and name. Pure: takes and returns values."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher

ZERO = Decimal(0)
SURE = 80  # from this score on, suggestions are accepted in bulk
SHORTEST_NUMBER = 4
SIMILAR = 0.88
_separators = re.compile(r"[^A-Z0-9]+")
_legal_forms = re.compile(r"\b(gmbh|ag|kg|ug|mbh|co|bv|nv|sa|sas|sarl|srl|ltd|limited|inc|llc|corp|plc|sàrl|kft|oy)\b")


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """An invoice with an amount left to pay, oldest first in a list."""

    pk: int
    number: str
    remaining: Decimal
    customer_id: int
    customer_name: str


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """What is known of an entry. `known_customer` paid from the same account before."""

    amount: Decimal
    payer_name: str
    text: str
    known_customer: int | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The customer and the amounts of the invoices, by their keys, with a score up to 100 and its reasons."""

    customer_id: int
    parts: Sequence[tuple[int, Decimal]]
    score: int
    reasons: Sequence[str]


def suggest(entry: EntryFacts, invoices: Sequence[OpenInvoice]) -> Suggestion | None:
    """Suggest what an entry pays of the open invoices in its currency, or nothing.

    >>> invoice = OpenInvoice(1, "INV-000001", Decimal(100), 7, "Acme GmbH")
    >>> suggestion = suggest(EntryFacts(Decimal(100), "ACME", "Rechnung INV 000001"), [invoice])
    >>> suggestion.score, suggestion.reasons
    (100, ['invoice number', 'amount', 'name'])
    """
    named = find_named(entry.text, invoices)
    customers = {invoice.customer_id for invoice in named}
    if len(customers) > 1 and entry.known_customer in customers:
        named = [invoice for invoice in named if invoice.customer_id == entry.known_customer]
        customers = {invoice.customer_id for invoice in named}
    if len(customers) == 1:
        return _suggest_named(entry, named)
    by_customer: dict[int, list[OpenInvoice]] = defaultdict(list)
    for invoice in invoices:
        by_customer[invoice.customer_id].append(invoice)
    if customers:  # numbers of several customers: a person decides
        return None
    if entry.known_customer is not None:
        owned = by_customer.get(entry.known_customer, [])
        return _suggest_customer(entry, entry.known_customer, owned, 85, 60, ["account"])
    alike = [owned for owned in by_customer.values() if is_similar(entry.payer_name, owned[0].customer_name)]
    if len(alike) == 1:
        return _suggest_customer(entry, alike[0][0].customer_id, alike[0], 75, 45, ["name"])
    equal = [invoice for invoice in invoices if invoice.remaining == entry.amount]
    if len(equal) == 1:
        return Suggestion(equal[0].customer_id, [(equal[0].pk, entry.amount)], 40, ["amount"])
    return None


def find_named(text: str, invoices: Sequence[OpenInvoice]) -> list[OpenInvoice]:
    """Find the invoices whose numbers are in a text, whatever separates their parts."""
    compact = _separators.sub("", text.upper())
    found = []
    for invoice in invoices:
        number = _separators.sub("", invoice.number.upper())
        start = compact.find(number) if len(number) >= SHORTEST_NUMBER else -1
        while start >= 0:
            before, after = compact[start - 1 : start], compact[start + len(number) : start + len(number) + 1]
            if not (after.isdigit() or (number[0].isdigit() and before.isdigit())):
                found.append(invoice)
                break
            start = compact.find(number, start + 1)
    return found


def is_similar(name: str, other: str) -> bool:
    """Whether two names are alike without their legal forms: ACME G.m.b.H. and Acme.

    >>> is_similar("MUELLER LOGISTIK GMBH", "Mueller Logistik"), is_similar("Acme", "Larkspur")
    (True, False)
    """
    first, second = _bare(name), _bare(other)
    if not first or not second:
        return False
    return first == second or SequenceMatcher(None, first, second).ratio() >= SIMILAR


def _bare(name: str) -> str:
    folded = name.casefold().replace(".", "")
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        folded = folded.replace(umlaut, letters)
    return " ".join(re.sub(r"[^\w]+", " ", _legal_forms.sub(" ", folded)).split())


def _suggest_named(entry: EntryFacts, named: Sequence[OpenInvoice]) -> Suggestion:
    reasons, score = ["invoice number"], 70
    if sum((invoice.remaining for invoice in named), ZERO) == entry.amount:
        reasons, score = [*reasons, "amount"], 90
    if entry.known_customer == named[0].customer_id:
        reasons, score = [*reasons, "account"], score + 10
    elif is_similar(entry.payer_name, named[0].customer_name):
        reasons, score = [*reasons, "name"], score + 10
    return Suggestion(named[0].customer_id, distribute(entry.amount, named), score, reasons)


def _suggest_customer(
    entry: EntryFacts, customer_id: int, owned: Sequence[OpenInvoice], sure: int, unsure: int, reasons: list[str]
) -> Suggestion:
    mapped: Mapping[Decimal, OpenInvoice] = {invoice.remaining: invoice for invoice in reversed(owned)}
    if entry.amount in mapped:
        return Suggestion(customer_id, [(mapped[entry.amount].pk, entry.amount)], sure, [*reasons, "amount"])
    if owned and sum((invoice.remaining for invoice in owned), ZERO) == entry.amount:
        return Suggestion(customer_id, distribute(entry.amount, owned), sure, [*reasons, "amount of all"])
    return Suggestion(customer_id, distribute(entry.amount, owned), unsure, reasons)


def distribute(amount: Decimal, invoices: Sequence[OpenInvoice]) -> list[tuple[int, Decimal]]:
    """Distribute an amount over invoices in their order. What is left isn't distributed.

    >>> distribute(Decimal(150), [OpenInvoice(n, "", Decimal(100), 7, "") for n in (1, 2)])
    [(1, Decimal('100')), (2, Decimal('50'))]
    """
    parts = []
    for invoice in invoices:
        part = min(amount, invoice.remaining)
        if part <= 0:
            break
        parts.append((invoice.pk, part))
        amount -= part
    return parts
