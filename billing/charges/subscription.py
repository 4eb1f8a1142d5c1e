"""A subscription as billing sees it: its schedule, phases, plans and billing progress, as plain values.

Pure: no Django, no clock. `billing.invoicing.subscriptions` reads these from the database. Fees and usage are
calculated from them alone.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.adjustments.conditions import Conditions
from billing.charges.commitment_facts import CommitmentFacts
from billing.charges.late_items import LateItem
from billing.kinds import InvoiceKind
from billing.rating.terms import Terms
from catalog.kinds import Aggregation, EntitlementReset
from customers.kinds import PhaseKind
from customers.periods import Period, Schedule


class CannotBill(Exception):
    """The subscription can't be billed. The message tells staff why and what to fix."""


@dataclass(frozen=True, slots=True)
class MeteredFeature:
    """The feature that a usage price charges for."""

    id: int
    name: str
    aggregation: Aggregation
    is_cumulative: bool
    unit_singular: str = ""
    unit_plural: str = ""
    variant_of: int | None = None

    @property
    def whole_id(self) -> int:
        """Return the id of the feature that counts all values: its own, unless it has the price of certain values."""
        return self.variant_of or self.id


@dataclass(frozen=True, slots=True)
class Fee:
    """A recurring fee. It is for `periods` full billing periods: 12 for an annual fee of a monthly subscription."""

    price_id: int
    label: str
    unit_amount: Decimal
    quantity: Decimal
    in_advance: bool
    periods: int = 1


@dataclass(frozen=True, slots=True)
class UsagePrice:
    """A price of usage. `minimum` is the commitment for a full period."""

    price_id: int
    label: str
    feature: MeteredFeature
    terms: Terms
    minimum: Decimal | None = None
    minimum_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Free units of a feature. `limit` of `None` is unlimited; `reset` is one of `EntitlementReset`."""

    limit: Decimal | None
    reset: EntitlementReset = EntitlementReset.PERIOD
    is_prorated: bool = False


NO_ALLOWANCE = Allowance(Decimal(0))


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What one plan version charges in a subscription's currency and interval, in the invoice's order.

    Versions share prices if one of them are terms agreed for the subscription: a price then applies in both.
    """

    version_id: int
    name: str
    number: int
    fees: tuple[Fee, ...] = ()
    usage: tuple[UsagePrice, ...] = ()
    allowances: dict[int, Allowance] = field(default_factory=dict)
    is_priced_otherwise: bool = False

    def allowance(self, feature_id: int) -> Allowance:
        """Return the free units of a feature."""
        return self.allowances.get(feature_id, NO_ALLOWANCE)

    def charges(self, price: UsagePrice, allowance: Allowance) -> bool:
        """Return whether the version charges a price and gives its feature these free units."""
        has_price = any(other.price_id == price.price_id for other in self.usage)
        return has_price and self.allowance(price.feature.id) == allowance


@dataclass(frozen=True, slots=True)
class Phase:
    """A range of time under one plan version. An `end` of `None` is open."""

    kind: PhaseKind
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
    """A fee or proration line of an invoice that isn't void. `discount` is the line's part of the invoice's discounts.

    `invoice_id` is `None` if the invoice is calculated and not saved yet. `settles` means that it is a settlement.
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
    periods: int = 1


@dataclass(slots=True)
class BillingProgress:
    """How far a subscription is billed. `change_at` is when a change is to be invoiced on an invoice of its own."""

    opened: bool = False
    billed_until: datetime | None = None
    closed_at: datetime | None = None
    change_at: datetime | None = None


@dataclass(slots=True)
class BilledSubscription:
    """A subscription with all that its invoices are calculated from.

    `customer_id` is the customer whose usage is charged, `payer_id` who gets the invoices: the customer or its parent.
    `invoiced` holds the fees of recent invoices. `issued` holds the kinds and period starts of recent invoices, without
    settlements. Without `conditions` only charges are calculated, and no discounts, taxes or credit. `late` holds late
    usage of earlier periods, which the next invoice charges. `joins_invoices` puts its invoices on joint invoices.
    """

    subscription_id: int
    customer_id: int
    payer_id: int
    currency: str
    schedule: Schedule
    started_at: datetime
    ended_at: datetime | None = None
    prorate: bool = True
    phases: tuple[Phase, ...] = ()
    plans: dict[int, PlanTerms] = field(default_factory=dict)
    progress: BillingProgress = field(default_factory=BillingProgress)
    invoiced: list[InvoicedFee] = field(default_factory=list)
    issued: set[tuple[InvoiceKind, datetime]] = field(default_factory=set)
    conditions: Conditions | None = None
    late: list[LateItem] = field(default_factory=list)
    committed: CommitmentFacts = field(default_factory=CommitmentFacts)
    joins_invoices: bool = False

    @property
    def timezone(self) -> str:
        return self.schedule.timezone

    def full_period(self, n: int) -> Period:
        """Return period n of the schedule, whatever the subscription's start and end."""
        return Period(self.schedule.boundary(n), self.schedule.boundary(n + 1))

    def fee_period(self, n: int, periods: int) -> Period:
        """Return the period of a fee that covers several billing periods and is in force in period n.

        Fees of 12 months start with periods 0, 12, 24 and so on, counted from the anchor.
        """
        first = n // periods * periods
        return Period(self.schedule.boundary(first), self.schedule.boundary(first + periods))

    def windows(self, period: Period, *kinds: PhaseKind) -> list[tuple[Phase, Period]]:
        """List the phases of these kinds, each with its part of the period and of the subscription's lifetime."""
        end = period.end if self.ended_at is None else min(period.end, self.ended_at)
        start = max(period.start, self.started_at)
        if start >= end:
            return []
        lifetime = Period(start, end)
        windows = ((phase, phase.within(lifetime)) for phase in self.phases if phase.kind in kinds)
        return [(phase, window) for phase, window in windows if window is not None]

    def first_active(self) -> datetime | None:
        """Return the start of the first active phase, after any trial; `None` if the subscription ends before it."""
        starts = [max(phase.start, self.started_at) for phase in self.phases if phase.kind == PhaseKind.ACTIVE]
        first = min(starts, default=None)
        if first is None or (self.ended_at is not None and first >= self.ended_at):
            return None
        return first

    def plan(self, version_id: int) -> PlanTerms:
        """Return a version's terms. Raises `CannotBill` if it has prices, but none in this currency and interval."""
        plan = self.plans[version_id]
        if plan.is_priced_otherwise:
            interval = self.schedule.interval
            every = interval.unit.replace("_", "-") if interval.count == 1 else f"{interval.count} {interval.unit}s"
            raise CannotBill(
                f"{plan.name} v{plan.number} has no prices in {self.currency} per {every}. "
                "Publish a version with these prices and move the subscription to it."
            )
        return plan


def period_in_force(subscription: BilledSubscription, at: datetime) -> Period:
    """Return the billing period that contains a moment, between the subscription's start and end."""
    full = subscription.full_period(subscription.schedule.index_at(at))
    end = full.end if subscription.ended_at is None else min(full.end, subscription.ended_at)
    return Period(max(full.start, subscription.started_at), end)
