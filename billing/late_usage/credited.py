"""Credit notes that staff wrote on usage charges: what they credited isn't refunded again when usage is reduced."""

from collections.abc import Collection, Iterable
from datetime import datetime
from fractions import Fraction

from billing.kinds import USAGE_KINDS, LineKind
from billing.late_usage.checks import add_checks
from billing.late_usage.difference import NOT_CREDITED, Credited
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
from billing.money import round_amount, times
from config.audit import recorded
from customers.periods import Period


def credited_by_hand(lines: Collection[InvoiceLine], currency: str) -> dict[int, Credited]:
    """Add up by price what credit notes, including drafts, credited of usage lines. One query.

    Void notes and notes written for a late adjustment don't count. A credit note's amounts are after discounts; the
    amounts returned are before discounts, as the lines' are, with the credited share of the discounts.
    """
    rows = CreditNoteLine.objects.filter(
        invoice_line__in=[line.pk for line in lines], credit_note__late_adjustment=None
    )
    credited: dict[int, Credited] = {}
    for row in rows.exclude(credit_note__state=CreditNoteState.VOID).select_related("credit_note", "invoice_line"):
        line = row.invoice_line
        if line.price_id is not None:
            share = Fraction(row.amount) / Fraction(line.amount - line.discount_amount)
            amount = round_amount(times(line.amount, share), currency)
            known = credited.get(line.price_id, NOT_CREDITED)
            credited[line.price_id] = Credited(
                known.amount + amount, known.discount + amount - row.amount, (*known.notes, str(row.credit_note))
            )
    return credited


def hold_reductions(note: CreditNote, lines: Iterable[CreditNoteLine]) -> None:
    """Hold the open refunds of charges that a new credit note credits, for approval by staff.

    The caller has locked the invoice; this locks the subscription's billing progress. Call it before saving the note's
    lines: saving them locks the invoice's key, which a holder of the billing progress may be waiting for.
    """
    subscription_id, credited = note.invoice.subscription_id, _credited_periods(note, lines)
    if subscription_id is None or not credited:
        return
    BillingState.objects.select_for_update().filter(pk=subscription_id).first()
    refunds = LateAdjustment.objects.filter(subscription_id=subscription_id, state__in=OPEN_STATES, amount__lt=0)
    with recorded(by=None, reason=f"{note} credits it"):
        for refund in refunds.select_for_update().order_by("pk"):
            if (refund.price_id, refund.period_start) in credited:
                refund.state, refund.reason = LateState.HELD, f"Credited by {note}"
                refund.decided_at = refund.decided_by = refund.returned_by = None
                refund.save()


def check_again(note: CreditNote, *, now: datetime) -> None:
    """Recalculate the late adjustments of charges that a credit note credits, once it is finalized or void."""
    lines = note.lines.select_related("invoice_line")
    subscription_id, credited = note.invoice.subscription_id, _credited_periods(note, lines)
    if subscription_id is None or not credited:
        return
    adjustments = LateAdjustment.objects.filter(subscription_id=subscription_id).exclude(state=LateState.CANCELLED)
    periods = [
        (subscription_id, Period(start, end))
        for price_id, start, end in adjustments.values_list("price_id", "period_start", "period_end")
        if (price_id, start) in credited
    ]
    add_checks(periods, now=now)


def _credited_periods(note: CreditNote, rows: Iterable[CreditNoteLine]) -> set[tuple[int | None, datetime | None]]:
    """Return the usage prices that a note's lines credit, each with the start of its period."""
    lines: Iterable[InvoiceLine] = (row.invoice_line for row in rows)
    return {
        (line.price_id, line.period_start if line.kind == LineKind.LATE_USAGE else note.invoice.period_start)
        for line in lines
        if line.kind in USAGE_KINDS
    }
