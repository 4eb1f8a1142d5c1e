"""What usage tracking asks of billing, without knowing it: billing registers who answers when the apps are ready."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from customers.periods import Period


class Standing(StrEnum):
    """How a billing period lies to now."""

    PAST = "past"
    CURRENT = "current"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class InvoiceFact:
    """The invoice of a period. Events counted after `computed_at` are not in it; `is_final` says it can't change."""

    number: str
    state: str
    url: str
    computed_at: datetime
    is_final: bool


@dataclass(frozen=True, slots=True)
class LineFact:
    """An invoice line of the feature, or what it would be as things stand. `amount` is written with its currency."""

    description: str
    amount: str
    url: str = ""
    is_written: bool = False
    is_late: bool = False


class LateStanding(StrEnum):
    """What becomes of a change of an invoiced period."""

    HELD = "held"
    WAITING = "waiting"
    SMALL = "small"
    INVOICED = "invoiced"
    CREDITED = "credited"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class LateFact:
    """A late adjustment of the feature in the period. `amount` is written with its currency, signed.

    `as_of` is when it was last worked out or moved on; `where` the invoice or credit note that holds it; `why` it was
    let go.
    """

    standing: LateStanding
    amount: str
    description: str
    as_of: datetime
    url: str = ""
    where: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class FreeTier:
    """Free units over the window that holds the event. `limit` None is unlimited; units as the feature adds up."""

    limit: Decimal | None
    used: Decimal
    window: Period
    reset: str

    @property
    def left(self) -> Decimal | None:
        return None if self.limit is None else max(self.limit - self.used, Decimal(0))


@dataclass(frozen=True, slots=True)
class Facts:
    """What billing knows of one feature under one subscription at a moment. `problem`: why it can't be worked out.

    `late` are the adjustments of the period since it was invoiced, in their order; `is_late_pending` says that changes
    wait to be worked out.
    """

    period: Period
    standing: Standing
    timezone: str
    billing_url: str = ""
    invoice: InvoiceFact | None = None
    free_tier: FreeTier | None = None
    quantity: Decimal | None = None
    lines: tuple[LineFact, ...] = ()
    problem: str = ""
    late: tuple[LateFact, ...] = ()
    is_late_pending: bool = False


@dataclass(frozen=True, slots=True)
class Worth:
    """What the usage of some customers' billing periods comes to, per currency; `left_out` periods weren't rated."""

    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    periods: int = 0
    left_out: int = 0


class BillingFacts(Protocol):
    """Billing's side. Every method only reads."""

    def facts(
        self, *, subscription_id: int, feature_ids: Collection[int], at: datetime, now: datetime
    ) -> dict[int, Facts]:
        """Work out each feature's period, invoice, free tier and line for a moment, by feature id."""

    def worth(self, moments: Collection[tuple[int, datetime]], *, now: datetime) -> Worth:
        """Rate the usage of the billing periods that hold these (customer id, moment) pairs, each once."""

    def write_amount(self, amount: Decimal, currency: str) -> str:
        """Write an amount with its currency."""


class NoBilling:
    """Answers while no billing is installed: nothing is known, nothing is worth anything."""

    def facts(
        self, *, subscription_id: int, feature_ids: Collection[int], at: datetime, now: datetime
    ) -> dict[int, Facts]:
        return {}

    def worth(self, moments: Collection[tuple[int, datetime]], *, now: datetime) -> Worth:
        return Worth()

    def write_amount(self, amount: Decimal, currency: str) -> str:
        return f"{amount:f} {currency}"


_providers: list[BillingFacts] = [NoBilling()]


def register(provider: BillingFacts) -> None:
    """Have this answer from now on."""
    _providers.append(provider)


def billing() -> BillingFacts:
    """Return who answers for billing."""
    return _providers[-1]


def write_amounts(amounts: Mapping[str, Decimal]) -> str:
    """Write amounts of several currencies in one text; nothing at all is "nothing"."""
    written: Sequence[str] = [billing().write_amount(amount, code) for code, amount in sorted(amounts.items())]
    return ", ".join(written) or "nothing"
