"""A charge on its way through an invoice's discounts and taxes. Pure."""

from dataclasses import dataclass, field
from decimal import Decimal

from billing.money import ZERO


@dataclass(slots=True)
class Charge:
    """A charge, and its part of the invoice's discounts and taxes. `amount` is rounded to the currency.

    `discount_back` is the discount on a fee that is credited: so much less is credited. `reductions` maps applied
    coupons to what they took off. `tax` comes on top, `tax_included` is part of the price.
    """

    kind: str
    amount: Decimal
    description: str = ""
    feature_id: int | None = None
    plan_version_id: int | None = None
    discount_back: Decimal = ZERO
    reductions: dict[int, Decimal] = field(default_factory=dict)
    tax: Decimal = ZERO
    tax_included: Decimal = ZERO

    @property
    def discount(self) -> Decimal:
        return sum(self.reductions.values(), ZERO) - self.discount_back

    @property
    def remaining(self) -> Decimal:
        """What the discounts so far leave."""
        return self.amount - self.discount
