"""A late adjustment as plain values, on its way to an invoice line."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing.late.figures import Figures
from billing.money import ZERO
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class LateItem:
    """What a price has to charge for an earlier period, after what was charged for it before."""

    adjustment_id: int
    price_id: int
    version_id: int
    feature_id: int
    label: str
    units: tuple[str, str]
    period: Period
    before: Figures
    after: Figures
    invoice_id: int | None = None
    invoice: str = ""
    line_id: int | None = None
    again: list[dict[str, Any]] = field(default_factory=list)
    discount_back: Decimal = ZERO
    credited: Decimal = ZERO
    is_settling: bool = False
