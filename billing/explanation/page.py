"""The content of an invoice's page as plain values: lines in groups with their calculation, totals, history."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from auditlog.models import LogEntry

from billing.explanation.text import explain_line
from billing.invoicing.rows import rows_of
from billing.lines import Charge
from billing.models import CreditNote, Invoice, InvoiceLine, JointInvoice, LineKind
from billing.money import format_amount
from config.audit import changes_of
from config.numbers import number
from config.office.history import author_of, get_key
from config.office.links import admin_url
from config.personal_data.entries import read_entry

PREPAID, CREDITED, PAID = "Prepaid credit", "Credit notes", "Paid"
GROUPS = (
    ("Recurring fees", (LineKind.FEE,)),
    ("Fee changes", (LineKind.PRORATION,)),
    ("Usage", (LineKind.USAGE, LineKind.TRUE_UP)),
    ("Late usage of earlier periods", (LineKind.LATE_USAGE,)),
    ("Commitment", (LineKind.COMMITMENT,)),
    ("Other", (LineKind.ITEM, LineKind.CREDIT)),
    ("Discounts", (LineKind.DISCOUNT,)),
    ("Taxes", (LineKind.TAX,)),
)


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line as it is shown: title, quantities, amount, and the steps of its calculation."""

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
class LineGroup:
    """The lines under one heading."""

    title: str
    rows: Sequence[LineRow]


def group_lines(lines: Sequence[InvoiceLine], currency: str) -> list[LineGroup]:
    """Group lines under their headings, in the invoice's order. Headings without lines are omitted."""
    groups = []
    for title, kinds in GROUPS:
        rows = [_build_row(line, currency) for line in lines if line.kind in kinds]
        if rows:
            groups.append(LineGroup(title, rows))
    return groups


def _build_row(line: InvoiceLine, currency: str) -> LineRow:
    title, _, detail = line.description.partition(" · ")
    is_usage = line.kind in (LineKind.USAGE, LineKind.LATE_USAGE)
    return LineRow(
        line=line,
        title=title,
        detail=detail,
        steps=explain_line(line, currency),
        quantity=number(line.quantity) if is_usage or line.kind == LineKind.ITEM or line.quantity != 1 else "",
        free=number(line.free_units) if line.free_units else "",
        billable=number(line.billable_quantity) if is_usage else "",
        amount=format_amount(line.amount, currency),
        is_negative=line.amount < 0,
        events_url=build_events_url(line) if is_usage and line.pk else "",
    )


def build_events_url(line: InvoiceLine) -> str:
    """Build the URL of the page with exactly the events that the line counts."""
    return admin_url("billing_line_event_list", line.pk) if line.feature else ""


def build_unsaved_lines(lines: Sequence[Charge]) -> list[InvoiceLine]:
    """Build rows for calculated lines that are shown but never saved."""
    return rows_of(Invoice(), lines)


def list_totals(invoice: Invoice | JointInvoice) -> list[tuple[str, Decimal]]:
    """List the totals of an invoice, from the subtotal to the payments, leaving out those that are zero."""
    rows = [("Subtotal", invoice.subtotal)]
    rows += [("Discounts", -invoice.discount_total)] if invoice.discount_total else []
    rows += [("Tax", invoice.tax_total)] if invoice.tax_total else []
    rows += [("Total", invoice.total)]
    rows += [(PREPAID, -invoice.credits_applied)] if invoice.credits_applied else []
    rows += [(CREDITED, -invoice.amount_credited)] if invoice.amount_credited else []
    rows += [(PAID, -invoice.amount_paid)] if invoice.amount_paid else []
    return rows


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A saved change: when, who, why, and each field before and after."""

    at: object
    who: str
    reason: str
    fields: Sequence[tuple[str, str, str]]


def find_author(invoice: Invoice) -> str:
    """Return who created the invoice or started its billing run: a user, an API key, or the system."""
    entry = changes_of([invoice]).filter(action=LogEntry.Action.CREATE).first()
    run_author = invoice.run.started_by if invoice.run else None
    return str(run_author) if run_author and not (entry and entry.actor) else _author(entry)


def _author(entry: LogEntry | None) -> str:
    return author_of(entry) if entry and (entry.actor or get_key(entry)) else "Countinghouse"


AMOUNT = re.compile(r"-?\d+\.\d{4}\Z")
HIDDEN = {"billed to", "seller", "series", "updated at", "computed at"}


def _format_logged_value(value: str, currency: str) -> str:
    """Format a value of the change log: amounts in the currency, a dash for an empty value."""
    if AMOUNT.match(value):
        return format_amount(Decimal(value), currency)
    return "–" if value in ("None", "") else value


def list_history(row: Invoice | CreditNote) -> list[HistoryEntry]:
    """List the changes of an invoice or credit note since its creation, newest first, without internal changes."""
    entries = changes_of([row]).exclude(action=LogEntry.Action.CREATE)
    history = []
    for entry in map(read_entry, entries):
        changes = [
            (name, _format_logged_value(before, row.currency), _format_logged_value(after, row.currency))
            for name, (before, after) in entry.changes_display_dict.items()
            if name.lower() not in HIDDEN
        ]
        reason = (entry.additional_data or {}).get("reason", "")
        if changes or reason:
            history.append(HistoryEntry(entry.timestamp, _author(entry), reason, changes))
    return history
