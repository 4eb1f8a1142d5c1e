"""Credit notes written by hand on charges of usage: what they took is not given back again when the usage goes."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.late_usage.checks import add_checks
from billing.lines import LATE_USAGE, USAGE_KINDS
from billing.models import (
    BillingState,
    CreditNote,
    CreditNoteLine,
    CreditNoteState,
    InvoiceLine,
    LateAdjustment,
    LateState,
)
from billing.models.late import OPEN_STATES
from billing.money import ZERO, round_amount, times
from config.audit import recorded
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class Credited:
    """What of a price's charges was credited by hand, before discounts, the discounts on that, and by which notes."""

    amount: Decimal = ZERO
    discount: Decimal = ZERO
    notes: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        return f"Credited by {', '.join(self.notes)}"[:255]


NOT_CREDITED = Credited()


def credited_by_hand(lines: Collection[InvoiceLine], currency: str) -> dict[int, Credited]:
    """Add up by price what credit notes took off lines of usage, drafts too. One query.

    Void notes don't count, nor do those that were written for a late adjustment. A credit note's amounts are after
    discounts; here they are as the lines are, with the same share of the discounts.
    """
    rows = CreditNoteLine.objects.filter(
        invoice_line__in=[line.pk for line in lines], credit_note__late_adjustment=None
    )
    found: dict[int, Credited] = {}
    for row in rows.exclude(credit_note__state=CreditNoteState.VOID).select_related("credit_note", "invoice_line"):
        line = row.invoice_line
        if line.price_id is not None:
            share = Fraction(row.amount) / Fraction(line.amount - line.discount_amount)
            amount = round_amount(times(line.amount, share), currency)
            before = found.get(line.price_id, NOT_CREDITED)
            notes = (*before.notes, str(row.credit_note))
            found[line.price_id] = Credited(before.amount + amount, before.discount + amount - row.amount, notes)
    return found


def hold_reductions(note: CreditNote, lines: Iterable[CreditNoteLine]) -> None:
    """Have staff look at what waits to be given back of charges that a new credit note credits.

    The invoice is locked; locks the subscription's billing progress. Before the note's lines are written: these lock
    the invoice's key, which whoever holds the billing progress may be waiting for.
    """
    subscription_id, found = note.invoice.subscription_id, _credited_periods(note, lines)
    if subscription_id is None or not found:
        return
    BillingState.objects.select_for_update().filter(pk=subscription_id).first()
    waiting = LateAdjustment.objects.filter(subscription_id=subscription_id, state__in=OPEN_STATES, amount__lt=0)
    with recorded(by=None, reason=f"{note} credits it"):
        for row in waiting.select_for_update().order_by("pk"):
            if (row.price_id, row.period_start) in found:
                row.state, row.reason = LateState.HELD, f"Credited by {note}"
                row.decided_at = row.decided_by = row.returned_by = None
                row.save()


def check_again(note: CreditNote, *, now: datetime) -> None:
    """Have the late adjustments of what a credit note credits worked out anew: it is finalized, or void."""
    lines = note.lines.select_related("invoice_line")
    subscription_id, found = note.invoice.subscription_id, _credited_periods(note, lines)
    if subscription_id is None or not found:
        return
    rows = LateAdjustment.objects.filter(subscription_id=subscription_id).exclude(state=LateState.CANCELLED)
    known = rows.values_list("price_id", "period_start", "period_end")
    add_checks(
        [(subscription_id, Period(start, end)) for price, start, end in known if (price, start) in found], now=now
    )


def _credited_periods(note: CreditNote, rows: Iterable[CreditNoteLine]) -> set[tuple[int | None, datetime | None]]:
    """List the prices of usage that a note's lines credit, with their periods' starts."""
    lines: Iterable[InvoiceLine] = (row.invoice_line for row in rows)
    return {
        (line.price_id, line.period_start if line.kind == LATE_USAGE else note.invoice.period_start)
        for line in lines
        if line.kind in USAGE_KINDS
    }
