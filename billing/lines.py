"""The charges of an invoice as plain values, with everything they were calculated from. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from billing.kinds import ADJUSTMENT_KINDS, LineKind
from billing.money import ZERO
from customers.periods import Period


@dataclass(slots=True)
class Charge:
    """One charge of an invoice, from its calculation to its row. Lines of discounts and taxes have the same fields.

    `amount` is rounded to the currency, `exact_amount` isn't. `discount_back` is the discount that a credited fee had:
    the credit is smaller by it. `adjust` sets the last four fields: `prepaid` is the part that a commitment has paid
    for, which gets no discount, `reductions` maps applied coupons to the amounts that they deduct, `tax` is added to
    the amount, and `tax_included` is part of the amount.
    """

    kind: LineKind
    amount: Decimal
    description: str = ""
    period: Period | None = None
    exact_amount: Decimal = ZERO
    price_id: int | None = None
    plan_version_id: int | None = None
    quantity: Decimal = Decimal(1)
    free_units: Decimal = ZERO
    billable_quantity: Decimal = Decimal(1)
    unit_amount: Decimal | None = None
    feature_id: int | None = None
    events_count: int | None = None
    events_checksum: int | None = None
    computation: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    discount_back: Decimal = ZERO
    adjusts_id: int | None = None
    adjusts_invoice_id: int | None = None
    adjustment_id: int | None = None
    prepaid: Decimal = field(default=ZERO, init=False)
    reductions: dict[int, Decimal] = field(default_factory=dict, init=False)
    tax: Decimal = field(default=ZERO, init=False)
    tax_included: Decimal = field(default=ZERO, init=False)

    @property
    def discount(self) -> Decimal:
        """The charge's discounts minus `discount_back`. Negative for a credited fee that had a discount."""
        return sum(self.reductions.values(), ZERO) - self.discount_back

    @property
    def remaining(self) -> Decimal:
        """The amount minus the discounts so far."""
        return self.amount - self.discount

    @property
    def discountable(self) -> Decimal:
        """What coupons can reduce: the remaining amount without what is prepaid."""
        return self.remaining - self.prepaid


class Adjusting(Protocol):
    """A line of a discount or tax: a saved row, or a charge that isn't saved."""

    @property
    def kind(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def computation(self) -> Any: ...


def split_lines[Line: Adjusting](lines: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Split an invoice's lines into its charges and its lines of discounts and taxes."""
    charges = [line for line in lines if line.kind not in ADJUSTMENT_KINDS]
    return charges, [line for line in lines if line.kind in ADJUSTMENT_KINDS]
