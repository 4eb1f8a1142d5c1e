"""Discounts and taxes of an invoice, in their order, and the totals.

First discounts on chosen charges, percentages before amounts; then discounts on everything, in the same order, each of
what is left; then taxes on the rest. Usage that a commitment has prepaid isn't discounted. Each discount and each tax
is rounded once and split over its charges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from billing.proofs.rater.kinds import ChargeKind, Scope
from billing.proofs.rater.numbers import ZERO, read, read_optional, round_to, split

FEES = (ChargeKind.FEE, ChargeKind.PRORATION)
USAGE = (ChargeKind.USAGE, ChargeKind.TRUE_UP, ChargeKind.LATE_USAGE)
WITH_COMMITMENTS = (*USAGE, ChargeKind.COMMITMENT)


@dataclass
class Charge:
    """A charge of an invoice: its discounts, the tax on top of it, and the tax that it contains."""

    kind: ChargeKind
    amount: Fraction
    feature: int | None = None
    version: int | None = None
    discount: Fraction = ZERO
    tax: Fraction = ZERO
    tax_included: Fraction = ZERO
    prepaid: Fraction = ZERO

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Charge":
        """Read a charge. The discount that a credited fee reverses makes its own negative."""
        back = read(data.get("discount_back") or 0)
        return cls(ChargeKind(data["kind"]), read(data["amount"]), data.get("feature"), data.get("version"), -back)

    @property
    def left(self) -> Fraction:
        return self.amount - self.discount

    @property
    def discountable(self) -> Fraction:
        return self.left - self.prepaid


@dataclass(frozen=True)
class Coupon:
    """A discount: a percentage or an amount, on everything, on fees, on usage, or on chosen features and plans."""

    number: int
    percent: Fraction | None
    amount: Fraction | None
    scope: Scope = Scope.EVERYTHING
    features: frozenset[int] = frozenset()
    versions: frozenset[int] = frozenset()

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Coupon":
        return cls(
            data["number"],
            read_optional(data.get("percent")),
            read_optional(data.get("amount")),
            Scope(data["scope"]),
            frozenset(data.get("features", ())),
            frozenset(data.get("versions", ())),
        )

    def covers(self, charge: Charge) -> bool:
        if self.scope == Scope.EVERYTHING:
            return True
        if self.scope == Scope.CHOSEN:
            return (charge.kind in USAGE and charge.feature in self.features) or (
                charge.kind in FEES and charge.version in self.versions
            )
        return charge.kind in (FEES if self.scope == Scope.FEES else WITH_COMMITMENTS)


@dataclass(frozen=True)
class Tax:
    """A tax, on top of prices or contained in them."""

    percent: Fraction
    is_inclusive: bool

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Tax":
        return cls(read(data["percent"]), data["inclusive"])


@dataclass(frozen=True)
class Totals:
    """The totals of an invoice, and what each coupon and each tax amounts to."""

    subtotal: Fraction
    discount: Fraction
    tax: Fraction
    tax_included: Fraction
    by_coupon: dict[int, Fraction]
    by_tax: list[Fraction]

    @property
    def total(self) -> Fraction:
        return self.subtotal - self.discount + self.tax


def add_up(
    charges: Sequence[Charge],
    coupons: Sequence[Coupon],
    taxes: Sequence[Tax],
    places: int,
    *,
    is_reversed: bool = False,
) -> Totals:
    """Discount and tax the charges, which keep their parts. Under reverse charge the customer owes the taxes."""
    _set_prepaid(charges, places)
    by_coupon = {coupon.number: _discount(charges, coupon, places) for coupon in sorted(coupons, key=_order)}
    by_tax = [ZERO for _ in taxes] if is_reversed else _tax(charges, taxes, places)
    return Totals(
        sum((charge.amount for charge in charges), ZERO),
        sum((charge.discount for charge in charges), ZERO),
        sum((charge.tax for charge in charges), ZERO),
        sum((charge.tax_included for charge in charges), ZERO),
        by_coupon,
        by_tax,
    )


def _set_prepaid(charges: Sequence[Charge], places: int) -> None:
    """Split what commitments deduct over the usage charges, by their size."""
    deducted = -sum((c.amount for c in charges if c.kind == ChargeKind.COMMITMENT and c.amount < 0), ZERO)
    usage = [charge for charge in charges if charge.kind in USAGE and charge.amount > 0]
    used = sum((charge.amount for charge in usage), ZERO)
    prepaid = min(deducted, used)
    if prepaid:
        for charge, part in zip(
            usage, split(prepaid, [prepaid * charge.amount / used for charge in usage], places), strict=True
        ):
            charge.prepaid = part


def _order(coupon: Coupon) -> tuple[bool, bool, int]:
    return coupon.scope == Scope.EVERYTHING, coupon.percent is None, coupon.number


def _discount(charges: Sequence[Charge], coupon: Coupon, places: int) -> Fraction:
    """Take a coupon off the charges that it covers, by their size. Negative charges aren't discounted."""
    covered = [charge for charge in charges if charge.discountable > 0 and coupon.covers(charge)]
    left = sum((charge.discountable for charge in covered), ZERO)
    off = (coupon.amount or ZERO) if coupon.percent is None else left * coupon.percent / 100
    amount = round_to(min(off, left), places)
    if covered:
        parts = split(amount, [amount * charge.discountable / left for charge in covered], places)
        for charge, part in zip(covered, parts, strict=True):
            charge.discount += part
    return amount


def _tax(charges: Sequence[Charge], taxes: Sequence[Tax], places: int) -> list[Fraction]:
    """Tax what is left of the charges. A tax on top is of the price without the taxes that it contains."""
    contained = sum((tax.percent / 100 for tax in taxes if tax.is_inclusive), ZERO)
    bases = [charge.left / (1 + contained) for charge in charges]
    amounts = []
    for tax in taxes:
        shares = [base * tax.percent / 100 for base in bases]
        amount = round_to(sum(shares, ZERO), places)
        for charge, part in zip(charges, split(amount, shares, places), strict=True):
            if tax.is_inclusive:
                charge.tax_included += part
            else:
                charge.tax += part
        amounts.append(amount)
    return amounts
