"""Commitments of a whole subscription: prepayments, drawdown, overage and true-ups. Pure. Why: decision 225.

One rule, as for recurring fees: each part of a term is what is due by the usage that is charged so far, minus what
other invoices hold of it. So late usage, voids and a moved end correct themselves on the next invoice.

A prepayment of $1,000.00 for a quarter, usage at list prices of $300.00, $500.00 and $400.00, overage at 1.5 times:

| invoice of | usage | lines of the commitment |
|---|---|---|
| the start | | prepayment $1,000.00 |
| January | $300.00 | drawdown -$300.00 |
| February | $500.00 | drawdown -$500.00 |
| March | $400.00 | drawdown -$200.00; overage of $200.00: 0.5 × $200.00 = $100.00; the next prepayment $1,000.00 |
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing import wording
from billing.charges.commitment_facts import (
    ChargedUsage,
    CommitmentFacts,
    CommittedAmount,
    InvoicedCommitment,
    Term,
)
from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.kinds import IN_ADVANCE_KINDS, USAGE_KINDS, CommitmentPart, InvoiceKind, LineKind
from billing.lines import Charge
from billing.money import ZERO, exact, format_amount, round_amount, times
from billing.rating.proration import factor
from config.numbers import number
from customers.kinds import CommitmentKind, PhaseKind
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class TermStatus:
    """What a term amounts to by the usage that is charged so far. `limit` is the amount for the time served."""

    committed: CommittedAmount
    term: Term
    limit: Decimal
    used: Decimal

    @property
    def drawn(self) -> Decimal:
        """The part of the usage that the commitment covers."""
        return min(max(self.used, ZERO), self.limit)

    @property
    def remaining(self) -> Decimal:
        return self.limit - self.drawn

    @property
    def above(self) -> Decimal:
        return max(self.used, ZERO) - self.drawn

    def surcharge(self, currency: str) -> Decimal:
        """What usage above the amount costs more than by the list; negative for a factor below 1."""
        with exact():
            return round_amount(self.above * (self.committed.overage_factor - 1), currency)


def list_terms(subscription: BilledSubscription, committed: CommittedAmount, until: datetime) -> Iterator[Term]:
    """Yield the terms that start by a moment."""
    schedule = subscription.schedule
    index = schedule.index_at(committed.starts_at)
    while (start := schedule.boundary(index)) <= until:
        index += committed.periods
        full = Period(start, schedule.boundary(index))
        ends = [end for end in (subscription.ended_at, committed.ends_at) if end is not None]
        served = Period(max(start, subscription.started_at), min([full.end, *ends]))
        yield Term(full, served if served.start < served.end else None)


def term_status(
    subscription: BilledSubscription, committed: CommittedAmount, term: Term, facts: CommitmentFacts
) -> TermStatus:
    """Return what a term amounts to. Only a minimum is prorated: to the days on which the subscription is active.

    A minimum of $1,200.00 for 2026: a subscription that ends on 1 April owes 90/365 of it, $295.89.
    """
    limit = committed.amount
    if committed.kind == CommitmentKind.MINIMUM and subscription.prorate and term.served is not None:
        windows = (window for _, window in subscription.windows(term.served, PhaseKind.ACTIVE))
        share = sum((factor(term.full, window, subscription.timezone) for window in windows), Fraction(0))
        limit = round_amount(times(committed.amount, share), subscription.currency)
    return TermStatus(committed, term, limit, facts.used_in(term))


def calculate_commitments(
    subscription: BilledSubscription, invoice: NextInvoice, charges: Sequence[Charge]
) -> list[Charge]:
    """List what an invoice with these charges adds or deducts because of the subscription's commitments."""
    facts = subscription.committed
    if not facts.amounts:
        return []
    facts = CommitmentFacts(facts.amounts, [*facts.usage, *usage_of(charges)], facts.invoiced)
    return [
        _charge(subscription, status, part, due, invoiced)
        for committed in facts.amounts
        for term in list_terms(subscription, committed, _last_start(committed, facts, invoice))
        for status in [term_status(subscription, committed, term, facts)]
        for part, due, invoiced in _parts(subscription, status, facts, invoice)
        if due != invoiced
    ]


def _last_start(committed: CommittedAmount, facts: CommitmentFacts, invoice: NextInvoice) -> datetime:
    """Return when the last term starts that an invoice is about. A final invoice corrects those after the end, too."""
    if invoice.kind in IN_ADVANCE_KINDS:
        return invoice.due_at
    starts = [invoice.period.end]
    if invoice.kind == InvoiceKind.FINAL:
        starts += [line.term_start for line in facts.invoiced if line.commitment_id == committed.id]
    return max(starts)


def _parts(
    subscription: BilledSubscription, status: TermStatus, facts: CommitmentFacts, invoice: NextInvoice
) -> Iterator[tuple[CommitmentPart, Decimal, Decimal]]:
    """Yield each part of a term with what is due of it and what other invoices hold."""
    committed, term, at = status.committed, status.term, invoice.period.end
    in_advance_only = invoice.kind in IN_ADVANCE_KINDS
    if committed.kind == CommitmentKind.PREPAID:
        opens_at = subscription.first_active()
        has_begun = (
            term.served is not None
            and opens_at is not None
            and max(term.full.start, opens_at) <= (invoice.due_at if in_advance_only else at)
        )
        due = committed.amount if has_begun else ZERO
        yield CommitmentPart.PREPAYMENT, due, facts.invoiced_of(committed, CommitmentPart.PREPAYMENT, term)
    if in_advance_only or term.full.start >= at:
        return
    if committed.kind == CommitmentKind.PREPAID:
        yield CommitmentPart.DRAWDOWN, -status.drawn, facts.invoiced_of(committed, CommitmentPart.DRAWDOWN, term)
    surcharge = status.surcharge(subscription.currency)
    yield CommitmentPart.OVERAGE, surcharge, facts.invoiced_of(committed, CommitmentPart.OVERAGE, term)
    if committed.kind == CommitmentKind.MINIMUM:
        is_over = term.served is not None and term.served.end <= at
        due = max(status.limit - status.used, ZERO) if is_over else ZERO
        # A term that isn't over by this invoice can be over by a later one, which then holds its true-up.
        invoiced = facts.invoiced_of(committed, CommitmentPart.TRUE_UP, term, None if is_over else at)
        yield CommitmentPart.TRUE_UP, due, invoiced


def _charge(
    subscription: BilledSubscription, status: TermStatus, part: CommitmentPart, due: Decimal, invoiced: Decimal
) -> Charge:
    committed, full = status.committed, status.term.full
    period = status.term.served or full
    label = f"{LABELS[part]}, {wording.dates(period, subscription.timezone)}"
    detail = _describe(status, part, subscription.currency)
    if invoiced:
        before = format_amount(abs(invoiced), subscription.currency)
        detail = f"{detail}, {'plus' if invoiced < 0 else 'less'} {before} invoiced before"
    return Charge(
        kind=LineKind.COMMITMENT,
        description=f"{label} · {detail}",
        period=period,
        amount=due - invoiced,
        exact_amount=due - invoiced,
        unit_amount=due - invoiced,
        computation={
            "label": LABELS[part],
            "commitment": {
                "id": committed.id,
                "part": part.value,
                "term": {"from": full.start.isoformat(), "to": full.end.isoformat()},
                "amount": wording.plain(committed.amount),
                "limit": wording.plain(status.limit),
                "overage_factor": wording.plain(committed.overage_factor),
                "used": wording.plain(status.used),
                "due": wording.plain(due),
                "invoiced_before": wording.plain(invoiced),
            },
        },
        label=LABELS[part],
    )


LABELS = {
    CommitmentPart.PREPAYMENT: "Prepaid commitment",
    CommitmentPart.DRAWDOWN: "Drawn from the prepaid commitment",
    CommitmentPart.OVERAGE: "Overage",
    CommitmentPart.TRUE_UP: "Minimum commitment",
}


def _describe(status: TermStatus, part: CommitmentPart, currency: str) -> str:
    def amount(value: Decimal) -> str:
        return format_amount(value, currency)

    if part == CommitmentPart.PREPAYMENT:
        return f"{amount(status.committed.amount)} for usage of this time"
    if part == CommitmentPart.DRAWDOWN:
        return f"{amount(status.drawn)} of {amount(status.limit)} used, {amount(status.remaining)} left"
    if part == CommitmentPart.OVERAGE:
        times_price = number(status.committed.overage_factor)
        return f"{amount(status.above)} of usage above {amount(status.limit)}, at {times_price} times its price"
    return f"{amount(status.limit)}, less {amount(status.used)} of usage"


def usage_of(charges: Iterable[Charge]) -> list[ChargedUsage]:
    """List the usage charges of an invoice, as commitments count them."""
    return [
        ChargedUsage(charge.period.start, charge.amount)
        for charge in charges
        if charge.kind in USAGE_KINDS and charge.period is not None
    ]


def commitments_of(charges: Iterable[Charge], until: datetime) -> list[InvoicedCommitment]:
    """List the lines of commitments of an invoice whose period ends at `until`."""
    return [
        read_line(charge.computation["commitment"], charge.amount, until)
        for charge in charges
        if charge.kind == LineKind.COMMITMENT
    ]


def read_line(
    computation: dict[str, Any], amount: Decimal, until: datetime, invoice_id: int | None = None
) -> InvoicedCommitment:
    """Read a line of a commitment from how it was calculated."""
    return InvoicedCommitment(
        computation["id"],
        CommitmentPart(computation["part"]),
        datetime.fromisoformat(computation["term"]["from"]),
        amount,
        until,
        invoice_id,
    )
