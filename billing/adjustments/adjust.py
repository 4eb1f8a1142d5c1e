"""Discounts, taxes and prepaid credit of an invoice's charges, in one fixed order. Pure.

1. The credit of a fee that had a discount is reduced by that discount. Usage that a commitment has prepaid isn't
   discounted again: what the commitment deducts is divided among the usage charges.
2. Coupons for certain charges, then coupons for the whole invoice. Percentages come first, each of the amount that the
   coupons before it leave; then amounts. A discount is rounded once and split over its charges by largest remainder.
   Negative charges get no discount.
3. Taxes on the remaining amount, each rounded once.
4. Prepaid credit pays a positive total. A negative total becomes credit.

Example: charges of $80.00 and $20.00, coupons of 25% and $10.00, a tax of 8.25% and prepaid credit of $50.00. The
coupons deduct $25.00 and $10.00, the tax on $65.00 is $5.36, the total $70.36. $50.00 are paid from credit and $20.36
are due.

Billing runs, the upcoming invoice, recalculated, reissued and one-off invoices all use `adjust`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.adjustments.adjustment_lines import discount_lines, tax_lines
from billing.adjustments.conditions import AppliedCoupon, Conditions, CouponUse, PastUse
from billing.adjustments.credit import AvailableCredit, reserve_credit
from billing.adjustments.taxes import ChargedTax, compute_taxes
from billing.kinds import USAGE_KINDS, CouponScope, LineKind
from billing.lines import Charge
from billing.money import ZERO, allocate, currency_places
from customers.kinds import TaxTreatment


@dataclass(frozen=True, slots=True)
class InvoiceTotals:
    """An invoice's totals. `subtotal` - `discount` + `tax` = `total` = the sum of charges and `lines`.

    `credits` is the prepaid credit that pays a positive total. If the total is negative, `credits` is the total, which
    is added to the customer's credit. `total` - `credits` = `due`.
    """

    subtotal: Decimal = ZERO
    discount: Decimal = ZERO
    tax: Decimal = ZERO
    tax_included: Decimal = ZERO
    credits: Decimal = ZERO
    treatment: TaxTreatment = TaxTreatment.TAXABLE
    note: str = ""
    charges: tuple[Charge, ...] = ()
    lines: tuple[Charge, ...] = ()
    uses: tuple[CouponUse, ...] = ()

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount + self.tax

    @property
    def due(self) -> Decimal:
        return self.total - self.credits

    @property
    def taxable(self) -> Decimal:
        """The amount that is taxed: charges minus discounts, without the tax that prices include."""
        return self.subtotal - self.discount - self.tax_included


def adjust(
    charges: Sequence[Charge],
    conditions: Conditions,
    *,
    currency: str,
    at: datetime,
    credit_at: datetime | None = None,
    subscription_id: int | None = None,
) -> InvoiceTotals:
    """Calculate an invoice's totals. Sets the charges' discounts and taxes.

    Coupons and credit that the invoice uses are used up in the conditions. `at` is when the invoice is due: it decides
    which coupons are live. Credit that hasn't expired at `credit_at`, or else at that time, can be used.
    """
    coupons = conditions.live_coupons(at, currency, subscription_id)
    _set_prepaid(charges, currency)
    uses = _apply_coupons(charges, coupons, currency, subscription_id)
    taxes = compute_taxes(
        [charge.remaining for charge in charges],
        conditions.taxes_of(subscription_id, currency),
        currency,
        reverse_charge=conditions.treatment == TaxTreatment.REVERSE_CHARGE,
    )
    _add_taxes(charges, taxes)
    subtotal = sum((charge.amount for charge in charges), ZERO)
    discount = sum((charge.discount for charge in charges), ZERO)
    tax = sum((charge.tax for charge in charges), ZERO)
    return InvoiceTotals(
        subtotal=subtotal,
        discount=discount,
        tax=tax,
        tax_included=sum((charge.tax_included for charge in charges), ZERO),
        credits=_apply_credit(conditions.credit.get(currency, []), subtotal - discount + tax, credit_at or at),
        treatment=conditions.treatment,
        note=conditions.why_untaxed,
        charges=tuple(charges),
        lines=(*discount_lines(charges, uses, currency), *tax_lines(taxes, currency)),
        uses=tuple(uses),
    )


def _set_prepaid(charges: Sequence[Charge], currency: str) -> None:
    """Divide what commitments deduct among the usage charges, by their amounts."""
    deducted = [charge for charge in charges if charge.kind == LineKind.COMMITMENT and charge.amount < 0]
    usage = [charge for charge in charges if charge.kind in USAGE_KINDS and charge.amount > 0] if deducted else []
    amounts = [charge.amount for charge in usage]
    prepaid = min(-sum((charge.amount for charge in deducted), ZERO), sum(amounts, ZERO))
    if usage:
        for charge, part in zip(usage, allocate(prepaid, amounts, currency_places(currency)), strict=True):
            charge.prepaid = part


def _apply_coupons(
    charges: Sequence[Charge], coupons: Iterable[AppliedCoupon], currency: str, subscription_id: int | None
) -> list[CouponUse]:
    uses = []
    for coupon in sorted(coupons, key=_order):
        amount = _apply_coupon(charges, coupon, currency)
        if amount:
            uses.append(CouponUse(coupon, coupon.next_number(), amount))
            coupon.used[uses[-1].number] = PastUse(amount, subscription_id)
    return uses


def _order(coupon: AppliedCoupon) -> tuple[bool, bool, int]:
    return coupon.scope == CouponScope.EVERYTHING, coupon.percent_off is None, coupon.id


def _apply_coupon(charges: Sequence[Charge], coupon: AppliedCoupon, currency: str) -> Decimal:
    """Deduct a coupon from the charges that it covers, and return the amount."""
    covered = [charge for charge in charges if charge.discountable > 0 and coupon.covers(charge)]
    remaining = [charge.discountable for charge in covered]
    amount = coupon.reduction_of(sum(remaining, ZERO), currency)
    for charge, part in zip(covered, allocate(amount, remaining, currency_places(currency)), strict=True):
        if part:
            charge.reductions[coupon.id] = part
    return amount


def _add_taxes(charges: Sequence[Charge], taxes: Iterable[ChargedTax]) -> None:
    for charged in taxes:
        for charge, part in zip(charges, charged.by_charge, strict=True):
            if charged.tax.is_inclusive:
                charge.tax_included += part
            else:
                charge.tax += part


def _apply_credit(credit: Iterable[AvailableCredit], total: Decimal, at: datetime) -> Decimal:
    """Use credit that hasn't expired for a total, and return the amount. All of a negative total becomes credit."""
    if total <= 0:
        return total
    return reserve_credit(credit, total, at)
