"""Charges, reductions and settlements of a month by currency. Every sum is checked against a second calculation."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from billing.models import ADJUSTMENTS, CreditNote, CreditNoteLine, Invoice, InvoiceLine, LineKind, Payment
from billing.money import ZERO
from billing.month_end.months import Month

CHARGED, VOIDED, CREDITED = "charged", "voided", "credited"


@dataclass(slots=True)
class RevenueRow:
    """The lines of a kind, plan and feature on invoices of the month, and their voids and credits in the month."""

    kind: str
    plan: str
    feature: str
    charged: Decimal = ZERO
    voided: Decimal = ZERO
    credited: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.charged - self.voided - self.credited


@dataclass(slots=True)
class Check:
    """Two calculations of one sum, which always agree. The report shows it."""

    name: str
    left: Decimal
    right: Decimal

    @property
    def agrees(self) -> bool:
        return self.left == self.right


@dataclass(slots=True)
class CurrencyBooks:
    """A currency's month: revenue by line, and the change of what customers owe from its start to its end."""

    currency: str
    rows: list[RevenueRow] = field(default_factory=list)
    opening: Decimal = ZERO
    invoiced: Decimal = ZERO
    voided: Decimal = ZERO
    credited: Decimal = ZERO
    prepaid: Decimal = ZERO
    prepaid_back: Decimal = ZERO
    paid: Decimal = ZERO
    adjusted: Decimal = ZERO
    closing: Decimal = ZERO
    credited_tax: Decimal = ZERO

    @property
    def moved_to(self) -> Decimal:
        """The closing balance, calculated from the opening balance and the month's movements."""
        reductions = self.voided + self.credited + self.prepaid + self.paid + self.adjusted
        return self.opening + self.invoiced + self.prepaid_back - reductions

    @property
    def net(self) -> Decimal:
        return sum((row.net for row in self.rows), ZERO)

    def checks(self) -> list[Check]:
        def added(name: str) -> Decimal:
            return sum((getattr(row, name) for row in self.rows), ZERO)

        return [
            Check("Lines of the month's invoices = their totals", added(CHARGED), self.invoiced),
            Check("Lines of voided invoices = their totals", added(VOIDED), self.voided),
            Check("Lines of credit notes and their taxes = their totals", added(CREDITED), self.credited),
            Check("Opening balance and movements = open at the end", self.moved_to, self.closing),
        ]


def books(month: Month) -> list[CurrencyBooks]:
    """Calculate a month's books by currency, in a fixed number of queries.

    Invoices count in the month they were finalized in, voids and credit notes in their own month, payments by date.
    """
    by_currency: dict[str, CurrencyBooks] = {}

    def books_in(currency: str) -> CurrencyBooks:
        return by_currency.setdefault(currency, CurrencyBooks(currency))

    for currency, rows in _revenue(month).items():
        books_in(currency).rows = rows
    for name, sums in _movements(month):
        for currency, amount in sums:
            setattr(books_in(currency), name, getattr(books_in(currency), name) + (amount or ZERO))
    return [by_currency[currency] for currency in sorted(by_currency)]


def _revenue(month: Month) -> dict[str, list[RevenueRow]]:
    rows: dict[str, dict[tuple[str, str, str], RevenueRow]] = defaultdict(dict)
    for name, sums in (
        (CHARGED, _by_line(_within("invoice__finalized_at", month))),
        (VOIDED, _by_line(_within("invoice__voided_at", month))),
        (CREDITED, _credit_lines(month)),
    ):
        for currency, kind, plan, feature, amount in sums:
            key = (kind, plan or "", feature or "")
            row = rows[currency].setdefault(key, RevenueRow(*key))
            setattr(row, name, getattr(row, name) + amount)
    order = list(LineKind.values)
    return {
        currency: sorted(by_key.values(), key=lambda row: (order.index(row.kind), row.plan, row.feature))
        for currency, by_key in rows.items()
    }


def _by_line(when: Q) -> Iterable[tuple[Any, ...]]:
    lines = InvoiceLine.objects.filter(when).order_by()
    names = ("invoice__currency", "kind", "plan_version__plan__name", "feature__name")
    return lines.values_list(*names).annotate(amount=Sum("amount"))


def _credit_lines(month: Month) -> Iterator[tuple[Any, ...]]:
    """Yield what credit notes credited, taxes separately. Notes voided in the month count with the opposite sign."""
    names = (
        "credit_note__currency",
        "invoice_line__kind",
        "invoice_line__plan_version__plan__name",
        "invoice_line__feature__name",
    )
    numbered = CreditNoteLine.objects.filter(credit_note__finalized_at__isnull=False).order_by()
    for sign, when in ((1, "credit_note__finalized_at"), (-1, "credit_note__voided_at")):
        sums = numbered.filter(_within(when, month)).values_list(*names)
        for *key, amount, tax in sums.annotate(moved=Sum("amount"), tax=Sum("tax_amount")):
            yield *key, sign * amount
            if tax:
                yield key[0], LineKind.TAX, "", "", sign * tax


def _movements(month: Month) -> Iterator[tuple[str, Iterable[tuple[str, Decimal | None]]]]:
    start, end = month.period.start, month.period.end
    issued, gone = _within("finalized_at", month), _within("voided_at", month)
    invoices = Invoice.objects.filter(finalized_at__isnull=False)
    notes = CreditNote.objects.filter(finalized_at__isnull=False)
    yield "opening", _open_at(start, month)
    yield "invoiced", _sums(invoices.filter(issued), F("total"))
    yield "voided", _sums(invoices.filter(gone), F("total"))
    yield "prepaid", _sums(invoices.filter(issued), F("credits_applied"))
    yield "prepaid_back", _sums(invoices.filter(gone), F("credits_applied"))
    yield "credited", _sums(notes.filter(issued), F("total"))
    yield "credited", _sums(notes.filter(gone), -F("total"))
    days = Payment.objects.filter(received_on__gte=month.first, received_on__lte=month.last)
    yield "paid", _sums(days.exclude(method__in=ADJUSTMENTS), F("amount"))
    yield "adjusted", _sums(days.filter(method__in=ADJUSTMENTS), F("amount"))
    yield "closing", _open_at(end, month.next)


def _open_at(moment: datetime, month: Month) -> list[tuple[str, Decimal | None]]:
    """Return what was open at the start of a month: live invoices, less credit notes and payments until then."""
    live = Q(voided_at=None) | Q(voided_at__gte=moment)
    due = Invoice.objects.filter(live, finalized_at__lt=moment)
    notes = CreditNote.objects.filter(live, finalized_at__lt=moment)
    payments = Payment.objects.filter(received_on__lt=month.first)
    return [
        *_sums(due, F("amount_due")),
        *_sums(notes, -F("total")),
        *_sums(payments, -F("amount")),
    ]


def _within(name: str, month: Month) -> Q:
    return Q(**{f"{name}__gte": month.period.start, f"{name}__lt": month.period.end})


def _sums(rows: QuerySet[Any], amount: Any) -> Sequence[tuple[str, Decimal | None]]:
    return list(rows.order_by().values_list("currency").annotate(moved=Sum(amount)))
