"""Commitments of a subscription: what each term owes by the usage so far, less what other invoices hold of it.

A term is so many billing periods. A prepayment is due at the term's start, and usage draws on it until it is used up. A
minimum is due at the term's end if the usage is below it, for the share of the term's days that is active. What is used
above the amount costs its price times a factor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

from billing.proofs.rater.kinds import CommitmentKind, CommitmentPart, PhaseKind
from billing.proofs.rater.numbers import ZERO, read, round_to, write
from billing.proofs.rater.subscription import Subscription
from billing.proofs.rater.time import LAST, Span, overlap, read_moment, share


class Commitment(NamedTuple):
    """What a customer committed to spend in every term."""

    number: int
    kind: CommitmentKind
    amount: Fraction
    factor: Fraction
    periods: int
    start: datetime
    end: datetime

    @classmethod
    def read(cls, data: dict[str, Any], places: int) -> "Commitment":
        return cls(
            data["number"],
            CommitmentKind(data["kind"]),
            round_to(read(data["amount"]), places),
            read(data["factor"]),
            data["periods"],
            read_moment(data["start"]),
            LAST if data["end"] is None else read_moment(data["end"]),
        )


class HeldPart(NamedTuple):
    """A part of a term that another invoice holds. `until` is when that invoice's period ends."""

    number: int
    part: CommitmentPart
    term: datetime
    until: datetime
    amount: Fraction


class Line(NamedTuple):
    """What an invoice charges or deducts for a part of a term."""

    number: int
    part: CommitmentPart
    term: datetime
    amount: Fraction


@dataclass(frozen=True)
class Moment:
    """An invoice's moment: terms that start by `until` have begun; usage is charged up to `closes`, None for none."""

    until: datetime
    closes: datetime | None
    is_final: bool


def answer_commitments(subscription: Subscription, data: dict[str, Any]) -> list[list[Any]]:
    """Answer with the lines of commitments that an invoice has, as (number, part, start of the term, amount)."""
    closes = None if data["closes"] is None else read_moment(data["closes"])
    until = read_moment(data["until"])
    if data["opening"]:
        until = max(until, subscription.first_active())
    moment = Moment(until, closes, data["final"])
    used = [(read_moment(at), read(amount)) for at, amount in data["used"]]
    held = [
        HeldPart(number, CommitmentPart(part), read_moment(term), read_moment(until), read(amount))
        for number, part, term, until, amount in data["held"]
    ]
    commitments = [Commitment.read(row, subscription.places) for row in data["known"]]
    return [
        [line.number, line.part.value, line.term.isoformat(), write(line.amount)]
        for one in commitments
        for line in _lines(subscription, one, moment, used, held)
        if line.amount
    ]


def _lines(
    subscription: Subscription,
    commitment: Commitment,
    moment: Moment,
    used: list[tuple[datetime, Fraction]],
    held: list[HeldPart],
) -> Iterator[Line]:
    held = [part for part in held if part.number == commitment.number]
    last = max([moment.until, *(part.term for part in held if moment.is_final)])
    number = subscription.cycle.number_at(commitment.start)
    while subscription.cycle.boundary(number) <= last:
        term = Span(subscription.cycle.boundary(number), subscription.cycle.boundary(number + commitment.periods))
        number += commitment.periods
        parts = [part for part in held if part.term == term.start]
        for kind, due in _dues(subscription, commitment, moment, term, used):
            of_kind = [part for part in parts if part.part == kind]
            if kind == CommitmentPart.TRUE_UP and not _is_over(subscription, commitment, moment, term):
                of_kind = [part for part in of_kind if moment.closes is not None and part.until <= moment.closes]
            before = sum((part.amount for part in of_kind), ZERO)
            yield Line(commitment.number, kind, term.start, due - before)


def _dues(
    subscription: Subscription,
    commitment: Commitment,
    moment: Moment,
    term: Span,
    used: list[tuple[datetime, Fraction]],
) -> Iterator[tuple[CommitmentPart, Fraction]]:
    """Yield what is due of each part that an invoice is about."""
    served = _served(subscription, commitment, term)
    is_prepaid = commitment.kind == CommitmentKind.PREPAID
    if is_prepaid:
        is_active = any(phase.kind == PhaseKind.ACTIVE for phase in subscription.phases)
        begins = max(term.start, subscription.first_active())
        has_begun = served is not None and is_active and begins <= moment.until
        yield CommitmentPart.PREPAYMENT, commitment.amount if has_begun else ZERO
    if moment.closes is None or term.start >= moment.closes:
        return
    limit = _limit(subscription, commitment, term, served)
    usage = sum((amount for at, amount in used if served and term.start <= at < served.end), ZERO)
    inside = min(max(usage, ZERO), limit)
    if is_prepaid:
        yield CommitmentPart.DRAWDOWN, -inside
    above = max(usage, ZERO) - inside
    yield CommitmentPart.OVERAGE, round_to(above * (commitment.factor - 1), subscription.places)
    if commitment.kind == CommitmentKind.MINIMUM:
        is_over = _is_over(subscription, commitment, moment, term)
        yield CommitmentPart.TRUE_UP, max(limit - usage, ZERO) if is_over else ZERO


def _served(subscription: Subscription, commitment: Commitment, term: Span) -> Span | None:
    """Return the part of a term within the time of the subscription and of the commitment."""
    end = max((phase.span.end for phase in subscription.phases), default=subscription.started_at)
    return overlap(term, Span(subscription.started_at, min(end, commitment.end)))


def _is_over(subscription: Subscription, commitment: Commitment, moment: Moment, term: Span) -> bool:
    served = _served(subscription, commitment, term)
    return served is not None and moment.closes is not None and served.end <= moment.closes


def _limit(subscription: Subscription, commitment: Commitment, term: Span, served: Span | None) -> Fraction:
    if commitment.kind != CommitmentKind.MINIMUM or not subscription.prorates or served is None:
        return commitment.amount
    active = (part for _, part in subscription.within(served, PhaseKind.ACTIVE))
    part = sum((share(term, window, subscription.zone) for window in active), ZERO)
    return round_to(commitment.amount * part, subscription.places)
