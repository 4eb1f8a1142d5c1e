"""What an invoice's page shows: lines in groups with how each came about, totals, history. Plain values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from auditlog.models import LogEntry

from billing.explanation.text import explain
from billing.invoicing.rows import rows_of
from billing.lines import Charge
from billing.models import CreditNote, Invoice, InvoiceLine, LineKind
from billing.money import format_amount
from config.audit import changes_of
from config.numbers import number
from config.office.links import admin_url
from events.links import occurred_between

PREPAID, CREDITED, PAID = "Prepaid credit", "Credit notes", "Paid"
GROUPS = (
    ("Recurring fees", (LineKind.FEE,)),
    ("Changes of fees", (LineKind.PRORATION,)),
    ("Usage", (LineKind.USAGE, LineKind.TRUE_UP)),
    ("Usage of earlier periods", (LineKind.LATE_USAGE,)),
    ("Other", (LineKind.ITEM, LineKind.CREDIT)),
    ("Discounts", (LineKind.DISCOUNT,)),
    ("Taxes", (LineKind.TAX,)),
)


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line as shown: what it says, how it was computed, what it comes to."""

    line: InvoiceLine
    title: str
    detail: str
    steps: Sequence[str]
    quantity: str
    free: str
    billable: str
    amount: str
    is_negative: bool
    events_url: str = ""

    @property
    def is_usage(self) -> bool:
        return self.line.kind in (LineKind.USAGE, LineKind.LATE_USAGE) and self.line.pk is not None


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of a kind under one heading."""

    title: str
    rows: Sequence[LineRow]


def groups(lines: Sequence[InvoiceLine], currency: str) -> list[Group]:
    """Put lines under their headings, in the invoice's order; headings without lines are left out."""
    found = []
    for title, kinds in GROUPS:
        rows = [row_of(line, currency) for line in lines if line.kind in kinds]
        if rows:
            found.append(Group(title, rows))
    return found


def row_of(line: InvoiceLine, currency: str) -> LineRow:
    title, _, detail = line.description.partition(" · ")
    counted = line.kind in (LineKind.USAGE, LineKind.LATE_USAGE)
    return LineRow(
        line=line,
        title=title,
        detail=detail,
        steps=explain(line, currency),
        quantity=number(line.quantity) if counted or line.quantity != 1 else "",
        free=number(line.free_units) if line.free_units else "",
        billable=number(line.billable_quantity) if counted else "",
        amount=format_amount(line.amount, currency),
        is_negative=line.amount < 0,
        events_url=events_url(line) if counted and line.pk else "",
    )


def events_url(line: InvoiceLine) -> str:
    """Return the address of the events that a usage line may count: the customer's, of the feature's names, that
    occurred in the line's period."""
    if line.feature is None:
        return ""
    where: dict[str, str | int] = {
        "customer__id__exact": line.invoice.customer_id,
        "event_name": line.feature.event_name,
        "received": "all",
        **occurred_between(line.period_start, line.period_end),
    }
    return admin_url("events_event_changelist", **where)


def unsaved(lines: Sequence[Charge]) -> list[InvoiceLine]:
    """Make rows of worked-out lines that are only shown, never saved."""
    return rows_of(Invoice(), lines)


def totals(invoice: Invoice) -> list[tuple[str, Decimal]]:
    """List what stands at the foot: from the subtotal to what is still to be paid."""
    rows = [("Subtotal", invoice.subtotal)]
    rows += [("Discounts", -invoice.discount_total)] if invoice.discount_total else []
    rows += [("Tax", invoice.tax_total)] if invoice.tax_total else []
    rows += [("Total", invoice.total)]
    rows += [(PREPAID, -invoice.credits_applied)] if invoice.credits_applied else []
    rows += [(CREDITED, -invoice.amount_credited)] if invoice.amount_credited else []
    rows += [(PAID, -invoice.amount_paid)] if invoice.amount_paid else []
    return rows


@dataclass(frozen=True, slots=True)
class LineChange:
    """An entry of the history: when, who, why, and each field before and after."""

    at: object
    who: str
    reason: str
    fields: Sequence[tuple[str, str, str]]


def written_by(invoice: Invoice) -> str:
    """Say who wrote the invoice: whoever typed it, or started its run, else the system."""
    entry = changes_of([invoice]).filter(action=LogEntry.Action.CREATE).first()
    by = entry.actor if entry and entry.actor else invoice.run.started_by if invoice.run else None
    return str(by or "Countinghouse")


AMOUNT = re.compile(r"-?\d+\.\d{4}\Z")
HIDDEN = {"billed to", "seller", "series", "updated at", "computed at"}


def readable(value: str, currency: str) -> str:
    """Write a value of the log as people read it: amounts in the currency, a dash for nothing."""
    if AMOUNT.match(value):
        return format_amount(Decimal(value), currency)
    return "—" if value in ("None", "") else value


def history(invoice: Invoice) -> list[LineChange]:
    """List what became of the invoice, the newest first, without saves that changed nothing people see."""
    return history_of(invoice, invoice.currency)


def history_of(row: Invoice | CreditNote, currency: str) -> list[LineChange]:
    """List what became of an invoice or a credit note after it was written, as `history` does."""
    entries = changes_of([row]).exclude(action=LogEntry.Action.CREATE)
    found = []
    for entry in entries:
        shown = [
            (name, readable(before, currency), readable(after, currency))
            for name, (before, after) in entry.changes_display_dict.items()
            if name.lower() not in HIDDEN
        ]
        reason = (entry.additional_data or {}).get("reason", "")
        if shown or reason:
            found.append(LineChange(entry.timestamp, str(entry.actor or "Countinghouse"), reason, shown))
    return found
