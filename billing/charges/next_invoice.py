"""What a subscription is invoiced for next, and when. Pure."""

from dataclasses import dataclass
from datetime import datetime

from billing.charges.subscription import BilledSubscription
from billing.kinds import IN_ADVANCE_KINDS, InvoiceKind
from customers.periods import INSTANT, Period


@dataclass(frozen=True, slots=True)
class NextInvoice:
    """An invoice that is due or upcoming: its kind, its period, and when it is due.

    A final invoice with an empty period only settles fees: the usage up to the end is already invoiced.
    """

    kind: InvoiceKind
    period: Period
    due_at: datetime

    @property
    def is_settlement(self) -> bool:
        """Whether it only corrects fees because the subscription ended before its billed period did.

        A subscription can have several settlements if its end moves.
        """
        return self.kind == InvoiceKind.FINAL and self.period.start >= self.period.end


def next_invoice(subscription: BilledSubscription) -> NextInvoice | None:
    """Return the next invoice, or `None` if the subscription has had its last one.

    A subscription that is billed monthly from 1 September: an opening invoice on 1 September for the fees in advance,
    then a cycle invoice on the first of each month. Canceled on 20 October: a final invoice on 20 October. If the
    cancellation is recorded on 5 November, after October was billed in full, the final invoice is a settlement.
    A change on 12 September that is invoiced at once: a change invoice on 12 September, for the rest of the month.
    """
    progress = subscription.progress
    if subscription.ended_at is not None and progress.closed_at == subscription.ended_at:
        return None
    since = progress.billed_until or subscription.started_at
    if subscription.ended_at is not None and since >= subscription.ended_at:
        end = subscription.ended_at
        return NextInvoice(InvoiceKind.FINAL, Period(end, end), end)
    period = _clip_period(subscription, subscription.schedule.index_at(since), since)
    opens_at = None if progress.opened else subscription.first_active()
    if opens_at is not None and opens_at < period.end:
        opening_index = subscription.schedule.index_at(max(opens_at, period.start))
        opening_period = _clip_period(subscription, opening_index, subscription.started_at)
        return NextInvoice(InvoiceKind.OPENING, opening_period, opens_at)
    change_at = progress.change_at
    if change_at is not None and progress.opened and period.contains(change_at):
        return NextInvoice(InvoiceKind.CHANGE, Period(change_at, period.end), change_at)
    kind = InvoiceKind.FINAL if period.end == subscription.ended_at else InvoiceKind.CYCLE
    return NextInvoice(kind, period, period.end)


def late_invoice(subscription: BilledSubscription, at: datetime) -> NextInvoice | None:
    """Return an invoice for late usage only, if some is due and the subscription gets no other invoice."""
    is_due = any(item.after.amount != item.before.amount for item in subscription.late)
    if not is_due or next_invoice(subscription) is not None:
        return None
    return NextInvoice(InvoiceKind.LATE, Period(at, at), at)


def mark_invoiced(subscription: BilledSubscription, invoice: NextInvoice) -> None:
    """Move the billing progress past an invoice. An invoice for late usage doesn't move it."""
    progress = subscription.progress
    if invoice.kind == InvoiceKind.LATE:
        return
    if progress.change_at is not None and progress.change_at <= invoice.period.end:
        progress.change_at = None  # this invoice includes the change
    if invoice.kind == InvoiceKind.OPENING:
        progress.opened = True
    if invoice.kind in IN_ADVANCE_KINDS:
        return
    progress.billed_until = max(invoice.period.end, progress.billed_until or invoice.period.end)
    opens_at = subscription.first_active()
    # This invoice charges the advance fees of a subscription that opens at its end: no opening invoice follows.
    progress.opened = progress.opened or (opens_at is not None and opens_at <= invoice.period.end)
    if invoice.kind == InvoiceKind.FINAL:
        progress.closed_at = subscription.ended_at


def is_issued(subscription: BilledSubscription, invoice: NextInvoice) -> bool:
    """Return whether the invoice already exists. Never true of a settlement: each one charges what is still open."""
    return not invoice.is_settlement and (invoice.kind, invoice.period.start) in subscription.issued


def reopen_billing(subscription: BilledSubscription) -> None:
    """Continue to bill a subscription whose end was invoiced and has since been moved or removed."""
    if subscription.progress.closed_at is not None and subscription.progress.closed_at != subscription.ended_at:
        subscription.progress.closed_at = None


def _clip_period(subscription: BilledSubscription, n: int, since: datetime) -> Period:
    full = subscription.full_period(n)
    end = full.end if subscription.ended_at is None else min(full.end, subscription.ended_at)
    return Period(max(full.start, since), end)


def period_index(subscription: BilledSubscription, invoice: NextInvoice) -> int:
    """Return the index of the invoice's period in the schedule. An empty period belongs to the one that it ends."""
    period = invoice.period
    at = period.start if period.start < period.end else period.end - INSTANT
    return subscription.schedule.index_at(max(at, subscription.started_at))
