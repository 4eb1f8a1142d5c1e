"""What a subscription is invoiced for next, and when. Pure."""

from dataclasses import dataclass
from datetime import datetime

from billing.charges.accounts import INSTANT, Account
from customers.periods import Period

OPENING, CYCLE, FINAL, LATE = "opening", "cycle", "final", "late"


@dataclass(frozen=True, slots=True)
class Step:
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


def next_step(account: Account) -> Step | None:
    """Return what is to be invoiced next; `None` when nothing ever will, as things stand."""
    standing = account.standing
    if account.ended_at is not None and standing.closed_at == account.ended_at:
        return None
    since = standing.billed_until or account.started_at
    if account.ended_at is not None and since >= account.ended_at:
        return Step(FINAL, Period(account.ended_at, account.ended_at), account.ended_at)
    n = account.schedule.index_at(since)
    period = _clipped(account, n, since)
    opens_at = None if standing.opened else account.first_active()
    if opens_at is not None and (opens_at < period.end):
        opening = _clipped(account, account.schedule.index_at(max(opens_at, period.start)), account.started_at)
        return Step(OPENING, opening, opens_at)
    return Step(FINAL if period.end == account.ended_at else CYCLE, period, period.end)


def late_step(account: Account, at: datetime) -> Step | None:
    """Return the invoice that takes late usage of a subscription which gets no other, if something is due of it."""
    is_due = any(item.after.amount != item.before.amount for item in account.late)
    return Step(LATE, Period(at, at), at) if is_due and next_step(account) is None else None


def take(account: Account, step: Step) -> None:
    """Move the account's standing past a step. One for late usage leaves it where it is."""
    standing = account.standing
    if step.kind == LATE:
        return
    if step.kind == OPENING:
        standing.opened = True
        return
    standing.billed_until = max(step.period.end, standing.billed_until or step.period.end)
    opens_at = account.first_active()
    # From here on the period's end has invoiced the advance fees, so there is no opening of its own.
    standing.opened = standing.opened or (opens_at is not None and opens_at <= step.period.end)
    if step.kind == FINAL:
        standing.closed_at = account.ended_at


def is_issued(account: Account, step: Step) -> bool:
    """Tell whether a step's invoice is there. A settlement never is: it charges what differs by then, and that once."""
    return not step.is_settlement and (step.kind, step.period.start) in account.issued


def reopen(account: Account) -> None:
    """Let a subscription go on whose end was invoiced and then taken back or moved."""
    if account.standing.closed_at is not None and account.standing.closed_at != account.ended_at:
        account.standing.closed_at = None


def _clipped(account: Account, n: int, since: datetime) -> Period:
    full = account.full_period(n)
    end = full.end if account.ended_at is None else min(full.end, account.ended_at)
    return Period(max(full.start, since), end)


def last_index(account: Account, step: Step) -> int:
    """Return the number of the schedule's period that a step is about; of an empty one, the period it ends."""
    at = step.period.start if step.period.start < step.period.end else step.period.end - INSTANT
    return account.schedule.index_at(max(at, account.started_at))
