"""What a customer committed to spend on a subscription's usage, and what invoices hold of it, as plain values. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.kinds import CommitmentPart
from customers.kinds import CommitmentKind
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class CommittedAmount:
    """A commitment: the amount of every term of so many billing periods, from the start of a period on."""

    id: int
    kind: CommitmentKind
    amount: Decimal
    overage_factor: Decimal
    periods: int
    starts_at: datetime
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a commitment. `served` is its part within the subscription's and commitment's time, None if empty."""

    full: Period
    served: Period | None


@dataclass(frozen=True, slots=True)
class ChargedUsage:
    """A usage charge of an invoice that isn't void: when its usage began, and the amount before discounts."""

    at: datetime
    amount: Decimal
    invoice_id: int | None = None


@dataclass(frozen=True, slots=True)
class InvoicedCommitment:
    """A line of a commitment on an invoice that isn't void. `until` is the end of the invoice's period."""

    commitment_id: int
    part: CommitmentPart
    term_start: datetime
    amount: Decimal
    until: datetime
    invoice_id: int | None = None


@dataclass(slots=True)
class CommitmentFacts:
    """A subscription's commitments, the usage that invoices charge, and the lines that they have of commitments."""

    amounts: tuple[CommittedAmount, ...] = ()
    usage: list[ChargedUsage] = field(default_factory=list)
    invoiced: list[InvoicedCommitment] = field(default_factory=list)

    def used_in(self, term: Term) -> Decimal:
        """Return what usage of a term is charged so far."""
        if term.served is None:
            return Decimal(0)
        window = Period(term.full.start, term.served.end)
        return sum((usage.amount for usage in self.usage if window.contains(usage.at)), Decimal(0))

    def invoiced_of(
        self, committed: CommittedAmount, part: CommitmentPart, term: Term, until: datetime | None = None
    ) -> Decimal:
        """Return what invoices hold of a part of a term; those of periods that end later than `until` are left out."""
        amounts = (
            line.amount
            for line in self.invoiced
            if (line.commitment_id, line.part, line.term_start) == (committed.id, part, term.full.start)
            and (until is None or line.until <= until)
        )
        return sum(amounts, Decimal(0))
