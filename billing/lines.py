"""An invoice line before it is written: plain values, with all that it was computed from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from billing.money import ZERO
from customers.periods import Period

FEE, USAGE, TRUE_UP, PRORATION = "fee", "usage", "true_up", "proration"
LATE_USAGE, DISCOUNT, TAX = "late_usage", "discount", "tax"
USAGE_KINDS = (USAGE, TRUE_UP, LATE_USAGE)
ADJUSTMENT_KINDS = (DISCOUNT, TAX)
COMPUTED_KINDS = (FEE, USAGE, TRUE_UP, PRORATION, LATE_USAGE, *ADJUSTMENT_KINDS)


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One charge. `amount` is rounded to the currency, `exact_amount` isn't; the other fields are the table's.

    `discount_back` is what the fees that a credit gives back had been reduced by.
    """

    kind: str
    description: str
    period: Period
    amount: Decimal
    exact_amount: Decimal
    price_id: int
    plan_version_id: int | None
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


class Adjusting(Protocol):
    """A written line of a discount or a tax, or one that is only shown."""

    @property
    def kind(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def computation(self) -> Any: ...


def charges_of[Line: Adjusting](lines: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Part an invoice's lines into its charges, in their order, and the lines of discounts and taxes."""
    charges = [line for line in lines if line.kind not in ADJUSTMENT_KINDS]
    return charges, [line for line in lines if line.kind in ADJUSTMENT_KINDS]
