"""What a subscription is invoiced for next, and when. Pure."""

from dataclasses import dataclass
from datetime import datetime

from billing.charges.subscription import BilledSubscription
from customers.periods import INSTANT, Period

OPENING, CYCLE, FINAL, LATE = "opening", "cycle", "final", "late"


@dataclass(frozen=True, slots=True)
class NextInvoice:
    """One invoice to come: its kind, the period that it names, and when it is due.

    A `final` step with an empty period settles fees only: the usage up to the end is invoiced already.
    """

    kind: str
    period: Period
    due_at: datetime

    @property
    def is_settlement(self) -> bool:
        """Whether it only brings fees into line with an end behind what is billed. There can be several to one end."""
        return self.kind == FINAL and self.period.start >= self.period.end


def next_invoice(subscription: BilledSubscription) -> NextInvoice | None:
    """Return what is to be invoiced next; `None` when nothing ever will, as things stand."""
    progress = subscription.progress
    if subscription.ended_at is not None and progress.closed_at == subscription.ended_at:
        return None
    since = progress.billed_until or subscription.started_at
    if subscription.ended_at is not None and since >= subscription.ended_at:
        return NextInvoice(FINAL, Period(subscription.ended_at, subscription.ended_at), subscription.ended_at)
    n = subscription.schedule.index_at(since)
    period = _clipped(subscription, n, since)
    opens_at = None if progress.opened else subscription.first_active()
    if opens_at is not None and (opens_at < period.end):
        opening = _clipped(
            subscription, subscription.schedule.index_at(max(opens_at, period.start)), subscription.started_at
        )
        return NextInvoice(OPENING, opening, opens_at)
    return NextInvoice(FINAL if period.end == subscription.ended_at else CYCLE, period, period.end)


def late_invoice(subscription: BilledSubscription, at: datetime) -> NextInvoice | None:
    """Return the invoice that takes late usage of a subscription which gets no other, if something is due of it."""
    is_due = any(item.after.amount != item.before.amount for item in subscription.late)
    return NextInvoice(LATE, Period(at, at), at) if is_due and next_invoice(subscription) is None else None


def mark_invoiced(subscription: BilledSubscription, step: NextInvoice) -> None:
    """Move the subscription's billing progress past a step. One for late usage leaves it where it is."""
    progress = subscription.progress
    if step.kind == LATE:
        return
    if step.kind == OPENING:
        progress.opened = True
        return
    progress.billed_until = max(step.period.end, progress.billed_until or step.period.end)
    opens_at = subscription.first_active()
    # From here on the period's end has invoiced the advance fees, so there is no opening of its own.
    progress.opened = progress.opened or (opens_at is not None and opens_at <= step.period.end)
    if step.kind == FINAL:
        progress.closed_at = subscription.ended_at


def is_issued(subscription: BilledSubscription, step: NextInvoice) -> bool:
    """Tell whether a step's invoice is there. A settlement never is: it charges what differs by then, and that once."""
    return not step.is_settlement and (step.kind, step.period.start) in subscription.issued


def reopen(subscription: BilledSubscription) -> None:
    """Let a subscription go on whose end was invoiced and then taken back or moved."""
    if subscription.progress.closed_at is not None and subscription.progress.closed_at != subscription.ended_at:
        subscription.progress.closed_at = None


def _clipped(subscription: BilledSubscription, n: int, since: datetime) -> Period:
    full = subscription.full_period(n)
    end = full.end if subscription.ended_at is None else min(full.end, subscription.ended_at)
    return Period(max(full.start, since), end)


def last_index(subscription: BilledSubscription, step: NextInvoice) -> int:
    """Return the number of the schedule's period that a step is about; of an empty one, the period it ends."""
    at = step.period.start if step.period.start < step.period.end else step.period.end - INSTANT
    return subscription.schedule.index_at(max(at, subscription.started_at))
