"""What is earned of commitments by a moment within a term, and not invoiced yet. Pure. Why: decision 268.

A minimum is earned by the day: of $1,200.00 for January to March, 59/90, $786.67, are earned by the end of February.
Usage of $150.00 by then leaves $636.67 to accrue beside it. A prepayment was invoiced in advance: usage that draws on
it earns nothing that is still to be invoiced, and is deducted.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.charges.commitment_facts import CommitmentFacts, Term
from billing.charges.subscription import BilledSubscription
from billing.charges.subscription_commitments import TermStatus, list_terms, term_status
from billing.kinds import CommitmentPart
from billing.money import ZERO, round_amount, times
from billing.rating.proration import factor
from customers.kinds import CommitmentKind, PhaseKind
from customers.periods import Period


def list_earned(
    subscription: BilledSubscription, facts: CommitmentFacts, until: datetime
) -> Iterator[tuple[CommitmentPart, Decimal]]:
    """Yield what is earned of each part of a subscription's terms until a moment, less what invoices hold of it.

    `facts` are what counts as invoiced, and all usage until that moment.
    """
    for committed in facts.amounts:
        for term in list_terms(subscription, committed, until):
            status = term_status(subscription, committed, term, facts)
            for part, earned in _parts(subscription, status, until):
                invoiced = facts.invoiced_of(committed, part, term)
                if earned != invoiced:
                    yield part, earned - invoiced


def _parts(
    subscription: BilledSubscription, status: TermStatus, until: datetime
) -> Iterator[tuple[CommitmentPart, Decimal]]:
    yield CommitmentPart.OVERAGE, status.surcharge(subscription.currency)
    if status.committed.kind == CommitmentKind.PREPAID:
        yield CommitmentPart.DRAWDOWN, -status.drawn
        return
    limit = round_amount(times(status.limit, _share(subscription, status.term, until)), subscription.currency)
    yield CommitmentPart.TRUE_UP, max(limit - status.used, ZERO)


def _share(subscription: BilledSubscription, term: Term, until: datetime) -> Fraction:
    """Return which share of the active days of a term is over by a moment."""
    if term.served is None:
        return Fraction(0)
    over = Period(term.served.start, min(term.served.end, until))
    in_all = _active_share(subscription, term, term.served)
    return _active_share(subscription, term, over) / in_all if in_all else Fraction(0)


def _active_share(subscription: BilledSubscription, term: Term, period: Period) -> Fraction:
    windows = (window for _, window in subscription.windows(period, PhaseKind.ACTIVE))
    return sum((factor(term.full, window, subscription.timezone) for window in windows), Fraction(0))
