"""An invoice's lines of discounts and taxes, with how each was calculated. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from billing import wording
from billing.adjustments.conditions import CouponUse
from billing.adjustments.taxes import ChargedTax
from billing.kinds import LineKind
from billing.lines import Charge
from billing.money import ZERO, format_amount
from config.numbers import number


def discount_lines(charges: Sequence[Charge], uses: Iterable[CouponUse], currency: str) -> list[Charge]:
    """List a line for the discounts of credited fees, then a line for each coupon."""
    lines = [_coupon_line(use, charges, currency) for use in uses]
    reversed_discounts = [
        (place, -charge.discount_back) for place, charge in enumerate(charges) if charge.discount_back
    ]
    if reversed_discounts:
        amount = -sum((amount for _, amount in reversed_discounts), ZERO)
        description = "Discounts of credited fees, reversed"
        computation = {"discount": {"by_line": _by_line(reversed_discounts, charges)}}
        lines.insert(0, Charge(LineKind.DISCOUNT, amount, description, exact_amount=amount, computation=computation))
    return lines


def _coupon_line(use: CouponUse, charges: Sequence[Charge], currency: str) -> Charge:
    coupon = use.coupon
    details: dict[str, Any] = {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code,
        "name": coupon.name,
        "scope": coupon.scope,
        "use": use.number,
    }
    if coupon.percent_off is not None:
        details["percent_off"] = wording.plain(coupon.percent_off)
        off = f"{number(coupon.percent_off)}% off"
    else:
        details["amount_off"] = wording.plain(coupon.amount_off or ZERO)
        off = f"{format_amount(coupon.amount_off or ZERO, currency)} off"
        if coupon.keeps_rest and use.number > 1:
            off += f", the rest of {format_amount(use.amount, currency)}"
    if coupon.limit is not None:
        details["of"] = coupon.limit
    reductions = [
        (place, charge.reductions[coupon.id]) for place, charge in enumerate(charges) if coupon.id in charge.reductions
    ]
    details["by_line"] = _by_line(reductions, charges)
    limit = f", invoice {use.number} of {coupon.limit}" if (coupon.limit or 1) > 1 else ""
    description = f"{coupon.name} ({coupon.code}): {off}{limit}"
    return Charge(
        LineKind.DISCOUNT, -use.amount, description, exact_amount=-use.amount, computation={"discount": details}
    )


def _by_line(amounts: Iterable[tuple[int, Decimal]], charges: Sequence[Charge]) -> list[dict[str, Any]]:
    """List the reduction of each charge. `place` is the charge's index, from 0."""
    return [
        {
            "place": place,
            "line": charges[place].description.partition(" · ")[0],
            "amount": wording.plain(amount),
        }
        for place, amount in amounts
    ]


def tax_lines(taxes: Iterable[ChargedTax], currency: str) -> list[Charge]:
    """List a line for each tax of an amount other than zero."""
    return [_tax_line(charged, currency) for charged in taxes if charged.base]


def _tax_line(charged: ChargedTax, currency: str) -> Charge:
    tax = charged.tax
    description = f"{tax.name} {number(tax.percentage)}% of {format_amount(charged.base, currency)}"
    is_charged = bool(charged.amount) or not tax.percentage
    if not is_charged:
        description += ": owed by the recipient"
    if tax.is_inclusive and charged.amount:
        description += f": {format_amount(charged.amount, currency)} contained in the prices"
    details = {
        "rate_id": tax.rate_id,
        "code": tax.code,
        "name": tax.name,
        "percentage": wording.plain(tax.percentage),
        "inclusive": tax.is_inclusive,
        "base": wording.plain(charged.base),
        "amount": wording.plain(charged.amount),
        "charged": is_charged,
    }
    # A tax that prices include adds nothing to the total.
    amount = ZERO if tax.is_inclusive else charged.amount
    return Charge(LineKind.TAX, amount, description, exact_amount=amount, computation={"tax": details})
