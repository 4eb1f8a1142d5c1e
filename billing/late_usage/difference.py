"""The difference between what a billed period charges now and what was charged for it so far. Pure.

An example: calls cost $0.25 each, and September was invoiced with 4 calls for $1.00.

- Two late calls arrive: the period now charges $1.50, so the difference is 2 calls and $0.50.
- Instead, all 4 calls are voided: the period now charges nothing, so the difference is -4 calls and -$1.00. If staff
  had already credited $0.25 by hand, only the remaining $0.75 is refunded; the other $0.25 is `credited`.
- Instead, 2 of the 4 calls are voided after that credit: the difference is -2 calls and -$0.50. Whether the credit was
  for those 2 calls or for the others isn't known, so the difference `is_unclear` and staff decide.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from billing.charges.late_items import NOTHING, ChargedLine, Figures, figures_by_price
from billing.money import ZERO, round_amount, times


class DiscountedLine(ChargedLine, Protocol):
    """A written line of an invoice, with what discounts took off it."""

    @property
    def discount_amount(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Settled:
    """A late adjustment that is invoiced, credited or ignored: the difference of `before` and `after` is settled.

    `credited` is the credit by hand that it took into account, and `discount` the change of discounts that it made.
    """

    price_id: int
    before: Figures
    after: Figures
    credited: Decimal = ZERO
    discount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Charged:
    """What a price was charged for a period: by the invoice's lines, and by adjustments settled since.

    `discount` is what discounts took off. `settled_credit` is the credit by hand that settled adjustments took into
    account.
    """

    figures: Figures = NOTHING
    discount: Decimal = ZERO
    settled_credit: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Credited:
    """What staff credited by hand of a price's charges: the amount before discounts, their part, and the notes."""

    amount: Decimal = ZERO
    discount: Decimal = ZERO
    notes: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        return f"Credited by {', '.join(self.notes)}"[:255]


NOT_CHARGED = Charged()
NOT_CREDITED = Credited()


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one price: `after` less `before`, either of them possibly nothing.

    `before.amount` is reduced by `credited`, the part of a reduction that was credited by hand, so that it isn't
    refunded twice. `discount_back` is the part of earlier discounts in a refund. `is_unclear`: some usage remains and
    some was credited by hand, so staff have to decide.
    """

    before: Figures = NOTHING
    after: Figures = NOTHING
    credited: Decimal = ZERO
    discount_back: Decimal = ZERO
    is_unclear: bool = False

    @property
    def amount(self) -> Decimal:
        return self.after.amount - self.before.amount

    @property
    def quantity(self) -> Decimal:
        return self.after.minus(self.before).quantity

    @property
    def is_nothing(self) -> bool:
        return self.before == self.after and not self.credited


NO_DIFFERENCE = Difference()


def charged_by_price(lines: Collection[DiscountedLine], settled: Iterable[Settled]) -> dict[int, Charged]:
    """Add up what every price was charged: by the usage lines of a period's invoice, and by adjustments since."""
    charged = {price_id: Charged(figures) for price_id, figures in figures_by_price(lines).items()}
    for line in lines:
        if line.price_id in charged:
            known = charged[line.price_id]
            charged[line.price_id] = replace(known, discount=known.discount + line.discount_amount)
    for adjustment in settled:
        known = charged.get(adjustment.price_id, NOT_CHARGED)
        charged[adjustment.price_id] = Charged(
            known.figures.plus(adjustment.after.minus(adjustment.before)),
            known.discount + adjustment.discount,
            known.settled_credit + adjustment.credited,
        )
    return charged


def differences(
    now: Mapping[int, Figures], charged: Mapping[int, Charged], credited: Mapping[int, Credited], currency: str
) -> dict[int, Difference]:
    """Calculate the difference of every price that is or was charged, by price."""
    return {
        price_id: difference(
            now.get(price_id, NOTHING),
            charged.get(price_id, NOT_CHARGED),
            credited.get(price_id, NOT_CREDITED),
            currency,
        )
        for price_id in {*now, *charged}
    }


def difference(now: Figures, charged: Charged, credited: Credited, currency: str) -> Difference:
    """Calculate the difference of one price, refunding no more than credits by hand left of its charges."""
    # Less than was taken into account, if a credit note was voided since.
    settled_credit = min(charged.settled_credit, credited.amount)
    before = replace(charged.figures, amount=charged.figures.amount - settled_credit)
    new_credit = credited.amount - settled_credit
    remaining = before.amount - new_credit
    reduction = before.amount - now.amount
    already_credited = ZERO
    if new_credit > 0 and reduction > 0:
        already_credited = reduction - min(reduction, max(remaining, ZERO))
        before = replace(before, amount=before.amount - already_credited)
    refund = before.amount - now.amount
    return Difference(
        before,
        now,
        credited=already_credited,
        discount_back=_discount_back(charged.discount - credited.discount, refund, remaining, currency),
        is_unclear=new_credit > 0 and before.amount > now.amount > 0,
    )


def _discount_back(discount: Decimal, refund: Decimal, remaining: Decimal, currency: str) -> Decimal:
    """Calculate the part of the remaining discount in a refund: in proportion to the remaining charges.

    >>> _discount_back(Decimal("3.00"), Decimal("4.00"), Decimal("12.00"), "USD")
    Decimal('1.00')
    """
    if refund <= 0 or remaining <= 0 or not discount:
        return ZERO
    return round_amount(times(discount, Fraction(min(refund, remaining)) / Fraction(remaining)), currency)
