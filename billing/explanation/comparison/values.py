"""Two sides of a comparison, such as two invoices, as plain values, and the parts of their difference. Pure."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from billing.kinds import LineKind
from billing.money import ZERO, exact
from billing.rating.rate import rate
from billing.rating.terms import Terms
from config.enums import LabeledEnum


class Cause(LabeledEnum):
    """Why the amounts of two sides differ, in the order in which the causes are applied and listed."""

    SUBSCRIPTION = "subscription", "Subscription started, ended or not billed"
    USAGE = "usage", "Usage"
    TIERS = "tiers", "Tiers reached"
    QUANTITY = "quantity", "Quantity of fees"
    DAYS = "days", "Days charged"
    LONGER_FEE = "longer_fee", "Fees of several periods"
    FREE_UNITS = "free_units", "Free units"
    PRICE = "price", "Prices"
    PLAN = "plan", "Plan change"
    TERMS = "terms", "Agreed terms"
    COMMITMENT = "commitment", "Commitments"
    LATE_USAGE = "late_usage", "Late usage"
    ITEMS = "items", "Items and credits"
    DISCOUNT = "discount", "Discounts"
    TAX = "tax", "Tax"


@dataclass(frozen=True, slots=True)
class Contract:
    """The plan version that a charge is of. `name` is what people call the version."""

    version_id: int
    plan_id: int
    name: str = ""
    is_agreed: bool = False


def contract_cause(before: Iterable[Contract], after: Iterable[Contract]) -> Cause | None:
    """Return which change of the contract makes two sides differ; `None` if both are of the same plan versions."""
    before, after = set(before), set(after)
    if not before or not after:
        return None if before == after else Cause.SUBSCRIPTION
    if {contract.version_id for contract in before} == {contract.version_id for contract in after}:
        return None
    if {contract.plan_id for contract in before} != {contract.plan_id for contract in after}:
        return Cause.PLAN
    return Cause.TERMS if any(contract.is_agreed for contract in before | after) else Cause.PRICE


@dataclass(frozen=True, slots=True)
class UsageRating:
    """How usage is priced: its terms, and the free units available to it. `None` is unlimited. A trial is free."""

    terms: Terms
    available: Decimal | None = ZERO
    is_trial: bool = False

    def charge(self, quantity: Decimal) -> Decimal:
        """Return the part of a quantity that isn't free, before any conversion."""
        counted = max(quantity, ZERO)
        with exact():
            return ZERO if self.available is None or self.is_trial else counted - min(counted, self.available)

    def rate(self, quantity: Decimal) -> Decimal:
        """Return the exact amount of a quantity, of which free units are deducted first."""
        return ZERO if self.is_trial else rate(self.charge(quantity), self.terms).amount


@dataclass(frozen=True, slots=True)
class UsedQuantity:
    """The usage on a line. Without a `rating` only its average price is known."""

    quantity: Decimal
    free: Decimal = ZERO
    rating: UsageRating | None = None


@dataclass(frozen=True, slots=True)
class ChargedFee:
    """The fee on a line: its amount for a full period, the quantity, and how many of the period's days are charged.

    `periods` is how many billing periods it covers: 12 for an annual fee of a monthly subscription.
    """

    unit_amount: Decimal
    quantity: Decimal = Decimal(1)
    days: int = 1
    of: int = 1
    periods: int = 1


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """A line of one side. `subject` is what it is matched by within its subscription: a feature, a coupon, a tax."""

    kind: LineKind
    amount: Decimal
    name: str = ""
    subject: Hashable = ""
    subscription_id: int | None = None
    contract: Contract | None = None
    price_id: int | None = None
    usage: UsedQuantity | None = None
    fee: ChargedFee | None = None

    @property
    def key(self) -> Hashable:
        return self.subscription_id, self.subject


@dataclass(frozen=True, slots=True)
class OfferedUsage:
    """The price that a feature has on a side, whether it was used or not."""

    contract: Contract
    price_id: int
    rating: UsageRating


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """The lines of an invoice, or of several; by subscription its plan versions; by line key the offered usage."""

    lines: Sequence[ComparedLine] = ()
    contracts: Mapping[int | None, Sequence[Contract]] = field(default_factory=dict)
    offers: Mapping[Hashable, OfferedUsage] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        with exact():
            return sum((line.amount for line in self.lines), ZERO)


@dataclass(frozen=True, slots=True)
class DifferencePart:
    """One part of a difference: its cause, the line concerned, the amount, and the values before and after."""

    cause: Cause
    name: str
    amount: Decimal
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The totals of two sides in one currency, and the parts of their difference, which add up to it."""

    currency: str
    before: Decimal
    after: Decimal
    parts: Sequence[DifferencePart] = ()

    @property
    def difference(self) -> Decimal:
        with exact():
            return self.after - self.before

    @property
    def by_cause(self) -> list[tuple[Cause, Decimal, list[DifferencePart]]]:
        """Group the parts by cause. Causes whose parts cancel each other out are kept, with zero."""
        causes = []
        for cause in dict.fromkeys(part.cause for part in self.parts):
            parts = [part for part in self.parts if part.cause == cause]
            with exact():
                causes.append((cause, sum((part.amount for part in parts), ZERO), parts))
        return causes

    @property
    def largest(self) -> list[tuple[Cause, Decimal]]:
        """List the causes, those with the largest amounts first."""
        return sorted(((cause, amount) for cause, amount, _ in self.by_cause if amount), key=lambda row: -abs(row[1]))
