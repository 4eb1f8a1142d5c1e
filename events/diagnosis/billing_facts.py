"""The questions of usage tracking to billing. Billing registers its answers when the apps are ready."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from customers.periods import Period


class PeriodStatus(StrEnum):
    """Whether a billing period is over, in progress or still to come."""

    PAST = "past"
    CURRENT = "current"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class InvoiceFact:
    """The invoice of a period. It doesn't include events counted after `computed_at`; a final invoice never changes."""

    number: str
    state: str
    url: str
    computed_at: datetime
    is_final: bool


@dataclass(frozen=True, slots=True)
class LineFact:
    """An invoice line of the feature (`is_written`), or what it would currently be. `amount` has its currency."""

    description: str
    amount: str
    url: str = ""
    is_written: bool = False
    is_late: bool = False


class LateUsageStatus(StrEnum):
    """How a change of an invoiced period is billed."""

    HELD = "held"
    WAITING = "waiting"
    SMALL = "small"
    INVOICED = "invoiced"
    CREDITED = "credited"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class LateFact:
    """A late adjustment of the feature in the period. `amount` is signed, with its currency.

    `as_of` is when the adjustment was last calculated or changed its status, `where` the invoice or credit note with
    the amount, `why` the reason for waiving it.
    """

    status: LateUsageStatus
    amount: str
    description: str
    as_of: datetime
    url: str = ""
    where: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class FreeTier:
    """Free units of the window that includes the event. A `limit` of None is unlimited."""

    limit: Decimal | None
    used: Decimal
    window: Period
    reset: str

    @property
    def remaining(self) -> Decimal | None:
        return None if self.limit is None else max(self.limit - self.used, Decimal(0))


@dataclass(frozen=True, slots=True)
class Facts:
    """What billing knows about a feature of a subscription at a given time. `problem` says why it can't be calculated.

    `late` lists the adjustments of the period since it was invoiced, oldest first; `is_late_pending` means that more
    changes are waiting to be calculated.
    """

    period: Period
    status: PeriodStatus
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
    """Totals per currency of the usage of some customers' billing periods; `left_out` periods couldn't be rated."""

    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    periods: int = 0
    left_out: int = 0


class BillingFacts(Protocol):
    """Billing's answers. Every method only reads."""

    def facts(
        self, *, subscription_id: int, feature_ids: Collection[int], at: datetime, now: datetime
    ) -> dict[int, Facts]:
        """Return each feature's period, invoice, free tier and line at a given time, by feature id."""

    def worth(self, moments: Collection[tuple[int, datetime]], *, now: datetime) -> Worth:
        """Rate the usage of the billing periods that include these (customer id, time) pairs, each period once."""

    def periods(self, moments: Collection[tuple[int, datetime]]) -> Mapping[int, Collection[Period]]:
        """Return the billing periods that `worth` rates, by customer id. Customers without one are left out."""

    def write_amount(self, amount: Decimal, currency: str) -> str:
        """Write an amount with its currency."""

    def write_digits(self, amount: Decimal, currency: str) -> str:
        """Write an amount with the currency's decimals, without the currency, as the API does."""


class NoBilling:
    """Answers without the billing app: there are no facts and no amounts."""

    def facts(
        self, *, subscription_id: int, feature_ids: Collection[int], at: datetime, now: datetime
    ) -> dict[int, Facts]:
        return {}

    def worth(self, moments: Collection[tuple[int, datetime]], *, now: datetime) -> Worth:
        return Worth()

    def periods(self, moments: Collection[tuple[int, datetime]]) -> Mapping[int, Collection[Period]]:
        return {}

    def write_amount(self, amount: Decimal, currency: str) -> str:
        return f"{amount:f} {currency}"

    def write_digits(self, amount: Decimal, currency: str) -> str:
        return f"{amount:f}"


_providers: list[BillingFacts] = [NoBilling()]


def register(provider: BillingFacts) -> None:
    """Let the provider answer from now on."""
    _providers.append(provider)


def billing() -> BillingFacts:
    """Return the registered provider."""
    return _providers[-1]


def write_amounts(amounts: Mapping[str, Decimal]) -> str:
    """Write amounts of several currencies, separated by commas; without any amount, "nothing"."""
    provider = billing()
    return ", ".join(provider.write_amount(amount, code) for code, amount in sorted(amounts.items())) or "nothing"
