"""What moves a customer's account, each kind read with a fixed number of queries.

A source answers what it came to before a moment, by currency, and what it moved in a window. Amounts above zero are
owed by the customer. Two accounts are kept apart: what is owed, and prepaid credit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, QuerySet, Sum

from billing.models import CreditNote, Invoice, Payment, WalletEntry
from billing.models.wallets import EntryKind
from config.office.links import page_of
from customers.periods import Period, local_date, local_midnight

OWED, CREDIT = "owed", "credit"
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Movement:
    """One thing that moved an account of the customer. `rank` orders what happened at the same moment."""

    account: str
    currency: str
    at: datetime
    rank: int
    kind: str
    reference: str
    text: str
    amount: Decimal
    url: str


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of movement: its rows, when they happened, and what each moves.

    `at` names a moment or, with `by_day`, a day: what has only a day is listed last in it.
    """

    account: str
    kind: str
    rank: int
    rows: Callable[[int], QuerySet[Any]]
    at: str
    amount: Any
    describe: Callable[[Any], tuple[str, str, str]]
    currency: str = "currency"
    by_day: bool = False

    def before(self, customer_id: int, moment: datetime, zone: str) -> Iterator[tuple[str, Decimal]]:
        """Add up what was moved before the moment, by currency."""
        edge = local_date(moment, zone) if self.by_day else moment
        rows = self.rows(customer_id).order_by().filter(**{f"{self.at}__lt": edge})
        yield from rows.values_list(self.currency).annotate(moved=Sum(self.amount))

    def within(self, customer_id: int, window: Period, zone: str, most: int) -> Iterator[Movement]:
        """List what was moved in the window, at most so many."""
        start, end = window.start, window.end
        edges = (local_date(start, zone), local_date(end, zone)) if self.by_day else (start, end)
        rows = self.rows(customer_id).filter(**{f"{self.at}__gte": edges[0], f"{self.at}__lt": edges[1]})
        for row in rows.annotate(moved=self.amount, moved_in=F(self.currency)).order_by(self.at, "pk")[:most]:
            reference, text, url = self.describe(row)
            at = getattr(row, self.at)
            if self.by_day:
                at = local_midnight(at + timedelta(days=1), zone) - TICK
            yield Movement(self.account, row.moved_in, at, self.rank, self.kind, reference, text, row.moved, url)


def _invoices(customer_id: int) -> QuerySet[Invoice]:
    return Invoice.objects.filter(customer_id=customer_id, finalized_at__isnull=False)


def _with_credit(customer_id: int) -> QuerySet[Invoice]:
    return _invoices(customer_id).exclude(credits_applied=0)


def _void(customer_id: int) -> QuerySet[Invoice]:
    return _invoices(customer_id).filter(voided_at__isnull=False)


def _void_with_credit(customer_id: int) -> QuerySet[Invoice]:
    return _with_credit(customer_id).filter(voided_at__isnull=False)


def _payments(customer_id: int) -> QuerySet[Payment]:
    return Payment.objects.filter(invoice__customer_id=customer_id).select_related("invoice")


def _credit_notes(customer_id: int) -> QuerySet[CreditNote]:
    notes = CreditNote.objects.filter(customer_id=customer_id, finalized_at__isnull=False)
    return notes.select_related("invoice")


def _void_credit_notes(customer_id: int) -> QuerySet[CreditNote]:
    return _credit_notes(customer_id).filter(voided_at__isnull=False)


def _entries(customer_id: int) -> QuerySet[WalletEntry]:
    return WalletEntry.objects.filter(wallet__customer_id=customer_id).select_related(
        "wallet__customer", "invoice", "grant"
    )


def _of_invoice(words: str) -> Callable[[Invoice], tuple[str, str, str]]:
    def describe(invoice: Invoice) -> tuple[str, str, str]:
        number = invoice.number or ""
        return number, words.format(number=number, kind=invoice.get_kind_display()), invoice.get_absolute_url()

    return describe


def _of_note(words: str) -> Callable[[CreditNote], tuple[str, str, str]]:
    def describe(note: CreditNote) -> tuple[str, str, str]:
        return (
            note.number or "",
            words.format(number=note.number, invoice=note.invoice),
            note.invoice.get_absolute_url(),
        )

    return describe


def _of_payment(payment: Payment) -> tuple[str, str, str]:
    text = f"{payment.get_kind_display()}, {payment.invoice}, {payment.get_method_display().lower()}"
    return payment.reference, text, page_of(payment) or payment.invoice.get_absolute_url()


def _of_entry(entry: WalletEntry) -> tuple[str, str, str]:
    invoice = entry.invoice
    reason = entry.reason or (entry.grant.reason if entry.kind == EntryKind.GRANTED else "")
    about = f": {invoice.number}" if invoice is not None else f": {reason}" if reason else ""
    url = page_of(entry.wallet) or entry.wallet.customer.get_absolute_url()
    return entry.public_id, f"{EntryKind(entry.kind).label}{about}", url


USED, CHARGED = "credits_applied", "total"
SOURCES = (
    Source(OWED, "Invoice", 1, _invoices, "finalized_at", F(CHARGED), _of_invoice("Invoice {number}, {kind}")),
    Source(OWED, "Prepaid credit", 2, _with_credit, "finalized_at", -F(USED), _of_invoice("Prepaid credit, {number}")),
    Source(OWED, "Credit note", 3, _credit_notes, "finalized_at", -F(CHARGED), _of_note("{number}, off {invoice}")),
    Source(OWED, "Void", 4, _void, "voided_at", -F(CHARGED), _of_invoice("{number} voided")),
    Source(OWED, "Prepaid credit", 5, _void_with_credit, "voided_at", F(USED), _of_invoice("Credit of {number} back")),
    Source(OWED, "Void", 6, _void_credit_notes, "voided_at", F(CHARGED), _of_note("{number} voided, off {invoice}")),
    Source(OWED, "Payment", 7, _payments, "received_on", -F("amount"), _of_payment, by_day=True),
    Source(CREDIT, "Prepaid credit", 8, _entries, "at", F("amount"), _of_entry, "wallet__currency"),
)
