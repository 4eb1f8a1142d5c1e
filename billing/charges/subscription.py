"""What billing knows about a subscription, as plain values: its rhythm, phases, plans, and how far it is billed.

Pure: no Django, no clock. `loading` fills these from the database; fees and usage are worked out from them alone.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.adjustments.conditions import Conditions
from billing.charges.late_items import LateItem
from billing.rating.terms import Terms
from customers.periods import Period, Schedule

TRIAL, ACTIVE, PAUSED = "trial", "active", "paused"


class CannotBill(Exception):
    """The subscription can't be billed as it stands. The message tells staff why and what to mend."""


@dataclass(frozen=True, slots=True)
class MeteredFeature:
    """The feature that a usage price charges for."""

    id: int
    name: str
    aggregation: str
    is_cumulative: bool
    unit_singular: str = ""
    unit_plural: str = ""


@dataclass(frozen=True, slots=True)
class Fee:
    """A recurring fee, per full period."""

    price_id: int
    label: str
    unit_amount: Decimal
    quantity: Decimal
    in_advance: bool


@dataclass(frozen=True, slots=True)
class UsagePrice:
    """A price of usage. `minimum` is the commitment for a full period."""

    price_id: int
    label: str
    feature: MeteredFeature
    terms: Terms
    minimum: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Free units of a feature. `limit` of `None` is unlimited; `reset` is one of `EntitlementReset`."""

    limit: Decimal | None
    reset: str = "period"
    is_prorated: bool = False


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What one plan version charges in a subscription's currency and interval, in the invoice's order."""

    version_id: int
    name: str
    number: int
    fees: tuple[Fee, ...] = ()
    usage: tuple[UsagePrice, ...] = ()
    allowances: dict[int, Allowance] = field(default_factory=dict)
    is_priced_otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the subscription's life. `end` of `None` is open."""

    kind: str
    version_id: int
    start: datetime
    end: datetime | None = None

    def within(self, period: Period) -> Period | None:
        """Return the part of a period that lies in this phase, if any."""
        start = max(self.start, period.start)
        end = period.end if self.end is None else min(self.end, period.end)
        return Period(start, end) if start < end else None


@dataclass(frozen=True, slots=True)
class InvoicedFee:
    """A fee or a proration that stands on an invoice which isn't void. `discount` is its part of discounts there.

    `invoice_id` is the invoice's as it is written; a worked-out one has none. `settles` says that it is
    on a settlement.
    """

    price_id: int
    version_id: int | None
    label: str
    service: Period
    amount: Decimal
    in_advance: bool
    discount: Decimal = Decimal(0)
    invoice_id: int | None = None
    settles: bool = False


@dataclass(slots=True)
class BillingProgress:
    """How far a subscription is billed."""

    opened: bool = False
    billed_until: datetime | None = None
    closed_at: datetime | None = None


@dataclass(slots=True)
class BilledSubscription:
    """A subscription as billing sees it. `invoiced` holds the fees of recent invoices, `issued` which these are,
    settlements of an end apart.

    Without `conditions` charges are worked out, and no discounts, taxes and credit.
    `late` holds what earlier periods have to charge after all, for the next invoice.
    """

    subscription_id: int
    customer_id: int
    currency: str
    schedule: Schedule
    started_at: datetime
    ended_at: datetime | None = None
    prorate: bool = True
    phases: tuple[Phase, ...] = ()
    plans: dict[int, PlanTerms] = field(default_factory=dict)
    progress: BillingProgress = field(default_factory=BillingProgress)
    invoiced: list[InvoicedFee] = field(default_factory=list)
    issued: set[tuple[str, datetime]] = field(default_factory=set)
    conditions: Conditions | None = None
    late: list[LateItem] = field(default_factory=list)

    @property
    def timezone(self) -> str:
        return self.schedule.timezone

    def full_period(self, n: int) -> Period:
        """Return period n of the schedule, whatever the subscription's start and end."""
        return Period(self.schedule.boundary(n), self.schedule.boundary(n + 1))

    def windows(self, period: Period, *kinds: str) -> list[tuple[Phase, Period]]:
        """List the parts of a period that lie in phases of these kinds, and in the subscription's life."""
        end = period.end if self.ended_at is None else min(period.end, self.ended_at)
        start = max(period.start, self.started_at)
        if start >= end:
            return []
        lived = Period(start, end)
        found = ((phase, phase.within(lived)) for phase in self.phases if phase.kind in kinds)
        return [(phase, window) for phase, window in found if window is not None]

    def first_active(self) -> datetime | None:
        """Return when it first has to be paid for: after a trial; `None` if never."""
        starts = [max(phase.start, self.started_at) for phase in self.phases if phase.kind == ACTIVE]
        opens = min(starts, default=None)
        if opens is None or (self.ended_at is not None and opens >= self.ended_at):
            return None
        return opens

    def plan(self, version_id: int) -> PlanTerms:
        """Return a phase's plan. Raises `CannotBill` when it has prices, but none in this currency and interval."""
        plan = self.plans[version_id]
        if plan.is_priced_otherwise:
            interval = self.schedule.interval
            every = interval.unit.replace("_", "-") if interval.count == 1 else f"{interval.count} {interval.unit}s"
            raise CannotBill(
                f"{plan.name} v{plan.number} has no prices in {self.currency} per {every}. "
                "Publish a version that has them and move the subscription to it."
            )
        return plan


def period_in_force(subscription: BilledSubscription, at: datetime) -> Period:
    """Return the billing period that holds a moment, clipped to the subscription's life."""
    full = subscription.full_period(subscription.schedule.index_at(at))
    end = full.end if subscription.ended_at is None else min(full.end, subscription.ended_at)
    return Period(max(full.start, subscription.started_at), end)
