"""Discounts: percentages and fixed amounts, and how one discount spreads over the lines it applies to."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billing.money import Precision, allocate

Split = Literal["cents", "exact"]
Order = Literal["percent_first", "listed"]


@dataclass(frozen=True, slots=True)
class Discount:
    """A reduction by a percentage or by an amount, exactly one of them.

    `applies_to` names the lines by their keys; `None` is all of them.
    """

    code: str
    percent_off: Decimal | None = None
    amount_off: Decimal | None = None
    applies_to: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if (self.percent_off is None) == (self.amount_off is None):
            raise ValueError(f"Discount {self.code!r} needs either a percentage or an amount")

    def covers(self, key: str) -> bool:
        """Tell whether the discount applies to a line."""
        return self.applies_to is None or key in self.applies_to


def discount_amount(
    amount: Decimal | Fraction,
    precision: Precision,
    *,
    percent_off: Decimal | None = None,
    amount_off: Decimal | None = None,
) -> Decimal:
    """Return what a discount takes off an amount: rounded, never more than the amount and never below zero."""
    reducible = max(Fraction(amount), Fraction(0))
    wanted = Fraction(0)
    if percent_off is not None:
        wanted = reducible * Fraction(percent_off) / 100
    if amount_off is not None:
        wanted = max(Fraction(amount_off), Fraction(0))
    return precision.round_fraction(min(wanted, reducible))


def ordered(discounts: Sequence[Discount], order: Order = "percent_first") -> list[Discount]:
    """Return discounts in the order they apply: percentages before fixed amounts, each as listed."""
    if order == "listed":
        return list(discounts)
    return sorted(discounts, key=lambda discount: discount.percent_off is None)


def split_discount(
    amount: Decimal, left: Sequence[Fraction], precision: Precision, split: Split = "cents"
) -> list[Fraction]:
    """Spread a discount over what is left of each line, by its share. Lines below zero take no part.

    "cents" hands out the smallest units by largest remainder; "exact" leaves the parts unrounded.
    """
    weights = [max(each, Fraction(0)) for each in left]
    whole = sum(weights, Fraction(0))
    if not amount or not whole:
        return [Fraction(0)] * len(left)
    if split == "exact":
        return [Fraction(amount) * weight / whole for weight in weights]
    return [Fraction(part) for part in allocate(amount, weights, precision.places)]
