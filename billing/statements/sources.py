"""The kinds of movements on a customer's accounts, each read with a fixed number of queries.

A source sums its movements before a moment, by currency, and lists its movements in a window. There are two accounts:
the amount owed, in which positive amounts are owed by the customer, and prepaid credit.
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
    """A movement on one of the customer's accounts. `rank` orders movements of the same moment."""

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
    """A kind of movement: its rows, the column with their time, and their amount.

    `at` is a column with a time or, with `by_day`, a date. Rows with only a date are listed at the end of that day.
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

    def sum_before(self, customer_id: int, moment: datetime, zone: str) -> Iterator[tuple[str, Decimal]]:
        """Add up the amounts before the moment, by currency."""
        edge = local_date(moment, zone) if self.by_day else moment
        rows = self.rows(customer_id).order_by().filter(**{f"{self.at}__lt": edge})
        yield from rows.values_list(self.currency).annotate(movement_total=Sum(self.amount))

    def list_within(self, customer_id: int, window: Period, zone: str, most: int) -> Iterator[Movement]:
        """Yield the movements in the window, at most `most`."""
        start, end = window.start, window.end
        edges = (local_date(start, zone), local_date(end, zone)) if self.by_day else (start, end)
        rows = self.rows(customer_id).filter(**{f"{self.at}__gte": edges[0], f"{self.at}__lt": edges[1]})
        for row in rows.annotate(movement_amount=self.amount, movement_currency=F(self.currency)).order_by(
            self.at, "pk"
        )[:most]:
            reference, text, url = self.describe(row)
            at = getattr(row, self.at)
            if self.by_day:
                at = local_midnight(at + timedelta(days=1), zone) - TICK
            yield Movement(
                self.account, row.movement_currency, at, self.rank, self.kind, reference, text, row.movement_amount, url
            )


def _invoices(customer_id: int) -> QuerySet[Invoice]:
    return Invoice.objects.filter(customer_id=customer_id, finalized_at__isnull=False)


def _with_credit(customer_id: int) -> QuerySet[Invoice]:
    return _invoices(customer_id).exclude(credits_applied=0)


def _void(customer_id: int) -> QuerySet[Invoice]:
    return _invoices(customer_id).filter(voided_at__isnull=False)


def _void_with_credit(customer_id: int) -> QuerySet[Invoice]:
    return _with_credit(customer_id).filter(voided_at__isnull=False)


def _payments(customer_id: int) -> QuerySet[Payment]:
    """Select the movements of money. An earlier payment's surplus that is applied to an invoice moves none."""
    return Payment.objects.filter(customer_id=customer_id).exclude(amount=0).select_related("invoice")


def _credit_notes(customer_id: int) -> QuerySet[CreditNote]:
    notes = CreditNote.objects.filter(customer_id=customer_id, finalized_at__isnull=False)
    return notes.select_related("invoice")


def _void_credit_notes(customer_id: int) -> QuerySet[CreditNote]:
    return _credit_notes(customer_id).filter(voided_at__isnull=False)


def _entries(customer_id: int) -> QuerySet[WalletEntry]:
    return WalletEntry.objects.filter(wallet__customer_id=customer_id).select_related(
        "wallet__customer", "invoice", "grant"
    )


def _describe_invoice(template: str) -> Callable[[Invoice], tuple[str, str, str]]:
    def describe(invoice: Invoice) -> tuple[str, str, str]:
        number = invoice.number or ""
        return number, template.format(number=number, kind=invoice.get_kind_display()), invoice.get_absolute_url()

    return describe


def _describe_credit_note(template: str) -> Callable[[CreditNote], tuple[str, str, str]]:
    def describe(note: CreditNote) -> tuple[str, str, str]:
        return (
            note.number or "",
            template.format(number=note.number, invoice=note.invoice),
            note.invoice.get_absolute_url(),
        )

    return describe


def _describe_payment(payment: Payment) -> tuple[str, str, str]:
    parts = (payment.get_kind_display(), str(payment.invoice or ""), payment.get_method_display().lower())
    return payment.reference, ", ".join(part for part in parts if part), payment.get_absolute_url()


def _describe_entry(entry: WalletEntry) -> tuple[str, str, str]:
    invoice = entry.invoice
    reason = entry.reason or (entry.grant.reason if entry.kind == EntryKind.GRANTED else "")
    about = f": {invoice.number}" if invoice is not None else f": {reason}" if reason else ""
    url = page_of(entry.wallet) or entry.wallet.customer.get_absolute_url()
    return entry.public_id, f"{EntryKind(entry.kind).label}{about}", url


CREDIT_USED, TOTAL = "credits_applied", "total"
SOURCES = (
    Source(OWED, "Invoice", 1, _invoices, "finalized_at", F(TOTAL), _describe_invoice("Invoice {number}, {kind}")),
    Source(
        OWED,
        "Prepaid credit",
        2,
        _with_credit,
        "finalized_at",
        -F(CREDIT_USED),
        _describe_invoice("Prepaid credit, {number}"),
    ),
    Source(
        OWED,
        "Credit note",
        3,
        _credit_notes,
        "finalized_at",
        -F(TOTAL),
        _describe_credit_note("{number} for {invoice}"),
    ),
    Source(OWED, "Void", 4, _void, "voided_at", -F(TOTAL), _describe_invoice("{number} voided")),
    Source(
        OWED,
        "Prepaid credit",
        5,
        _void_with_credit,
        "voided_at",
        F(CREDIT_USED),
        _describe_invoice("Prepaid credit of {number} returned"),
    ),
    Source(
        OWED,
        "Void",
        6,
        _void_credit_notes,
        "voided_at",
        F(TOTAL),
        _describe_credit_note("{number} for {invoice} voided"),
    ),
    Source(OWED, "Payment", 7, _payments, "received_on", -F("amount"), _describe_payment, by_day=True),
    Source(CREDIT, "Prepaid credit", 8, _entries, "at", F("amount"), _describe_entry, "wallet__currency"),
)
