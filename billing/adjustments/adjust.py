"""What discounts, taxes and prepaid credit make of an invoice's charges, in `computation`'s fixed order. Pure.

The run, the upcoming invoice, recomputing, reissuing and invoices written by hand all come through `adjust`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing import wording
from billing.adjustments import computation
from billing.adjustments.conditions import (
    EVERYTHING,
    REVERSE_CHARGE,
    TAXABLE,
    AppliedCoupon,
    AvailableCredit,
    Conditions,
    CustomerTax,
    Item,
)
from billing.adjustments.discounts import Discount
from billing.adjustments.taxes import Tax, TaxRate
from billing.lines import DISCOUNT, TAX
from billing.money import ZERO, format_amount
from config.numbers import number


@dataclass(frozen=True, slots=True)
class Part:
    """One charge's part of the invoice's discounts and taxes. `tax` comes on top, `tax_included` is inside."""

    discount: Decimal = ZERO
    tax: Decimal = ZERO
    tax_included: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class AdjustmentLine:
    """A discount's or a tax's line. `amount` is what it adds to the total: nothing for a tax that prices contain."""

    kind: str
    description: str
    amount: Decimal
    computation: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CouponUse:
    """That an applied coupon reduced the invoice, as its `number`th."""

    application_id: int
    number: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceTotals:
    """What an invoice comes to. `subtotal` - `discount` + `tax` = `total` = the sum of charges and `lines`.

    `parts` follow the charges. `credits` is what prepaid credit would pay; below zero what a total below zero would add
    to it. Either way `total` - `credits` = `due`.
    """

    subtotal: Decimal = ZERO
    discount: Decimal = ZERO
    tax: Decimal = ZERO
    tax_included: Decimal = ZERO
    total: Decimal = ZERO
    credits: Decimal = ZERO
    treatment: str = TAXABLE
    note: str = ""
    parts: tuple[Part, ...] = ()
    lines: tuple[AdjustmentLine, ...] = ()
    uses: tuple[CouponUse, ...] = ()

    @property
    def due(self) -> Decimal:
        return self.total - self.credits

    @property
    def taxable(self) -> Decimal:
        """What is left to be taxed, without the tax that prices contain."""
        return self.subtotal - self.discount - self.tax_included


def adjust(
    items: Sequence[Item],
    conditions: Conditions,
    *,
    currency: str,
    at: datetime,
    subscription_id: int | None = None,
    with_discounts: bool = True,
) -> InvoiceTotals:
    """Discount and tax charges, and reckon with prepaid credit; what it takes is used up in the conditions.

    `at` is when the invoice falls due: it decides which coupons run and which credit hasn't expired.
    """
    live = (
        [each for each in conditions.coupons if each.is_live(at, currency, subscription_id)] if with_discounts else []
    )
    levies = conditions.taxes_of(subscription_id, currency)
    subtotal = sum((item.amount for item in items), ZERO)
    if not (live or levies or any(item.discount_back for item in items)):
        return _plain(items, subtotal, conditions, currency, at)
    draft = _draft(items, live, levies, currency, reverse_charge=conditions.treatment == REVERSE_CHARGE)
    computed = computation.compute(draft)
    uses = _record_uses(live, computed)
    lines = [*_discount_lines(live, uses, items, computed, currency), *_tax_lines(levies, computed.taxes, currency)]
    total = computed.total - computed.account_credit
    included = sum((tax.amount for tax in computed.taxes if tax.rate.inclusive), ZERO)
    return InvoiceTotals(
        subtotal=subtotal,
        discount=computed.discount,
        tax=computed.tax - included,
        tax_included=included,
        total=total,
        credits=_take_credit(conditions.credit.get(currency, []), total, at),
        treatment=conditions.treatment,
        note=conditions.why_untaxed,
        parts=tuple(_parts(computed)),
        lines=tuple(lines),
        uses=tuple(uses),
    )


def _plain(
    items: Sequence[Item], subtotal: Decimal, conditions: Conditions, currency: str, at: datetime
) -> InvoiceTotals:
    return InvoiceTotals(
        subtotal=subtotal,
        total=subtotal,
        credits=_take_credit(conditions.credit.get(currency, []), subtotal, at),
        treatment=conditions.treatment,
        note=conditions.why_untaxed,
        parts=(Part(),) * len(items),
    )


def _draft(
    items: Sequence[Item],
    live: Iterable[AppliedCoupon],
    levies: Iterable[CustomerTax],
    currency: str,
    *,
    reverse_charge: bool,
) -> computation.Draft:
    """Put charges in the terms of the computation. Coupons for certain charges are line discounts."""
    wide: list[Discount] = []
    narrow: list[Discount] = []
    for each in sorted(live, key=lambda each: (each.percent_off is None, each.id)):
        covered = frozenset(str(place) for place, item in enumerate(items) if each.covers(item))
        if covered:
            whole = each.scope == EVERYTHING
            (wide if whole else narrow).append(
                Discount(str(each.id), each.percent_off, each.amount_off, None if whole else covered)
            )
    return computation.Draft(
        currency=currency,
        lines=tuple(
            computation.Line(str(place), item.amount, discounted_before=item.discount_back)
            for place, item in enumerate(items)
        ),
        taxes=tuple(_rate(levy) for levy in levies),
        line_discounts=tuple(narrow),
        discounts=tuple(wide),
        reverse_charge=reverse_charge,
    )


def _rate(levy: CustomerTax) -> TaxRate:
    return TaxRate(levy.code, levy.percentage, levy.is_inclusive)


def _taken(computed: computation.Computed, code: str) -> list[tuple[int, Decimal]]:
    """List what a discount took off, by the place of the charge."""
    return [
        (place, part.amount)
        for place, line in enumerate(computed.lines)
        for part in line.reductions
        if part.code == code
    ]


def _record_uses(live: Iterable[AppliedCoupon], computed: computation.Computed) -> list[CouponUse]:
    uses = []
    for each in live:
        amount = sum((amount for _, amount in _taken(computed, str(each.id))), ZERO)
        if amount:
            uses.append(CouponUse(each.id, each.next_number(), amount))
            each.used.add(uses[-1].number)
    return uses


def _discount_lines(
    live: Iterable[AppliedCoupon],
    uses: Iterable[CouponUse],
    items: Sequence[Item],
    computed: computation.Computed,
    currency: str,
) -> list[AdjustmentLine]:
    """Write a line for each discount, in the order of the computation."""
    by_id, numbers = {each.id: each for each in live}, {use.application_id: use for use in uses}
    order = {each.id: (each.scope == EVERYTHING, each.percent_off is None, each.id) for each in by_id.values()}
    found = [
        _discount_line(by_id[key], numbers[key], items, computed, currency)
        for key in sorted(numbers, key=order.__getitem__)
    ]
    back = _taken(computed, computation.EARLIER)
    if back:
        amount = -sum((amount for _, amount in back), ZERO)
        says = "Discounts of the fees that are credited, taken back"
        found.insert(0, AdjustmentLine(DISCOUNT, says, amount, {"discount": {"by_line": _by_line(back, items)}}))
    return found


def _discount_line(
    coupon: AppliedCoupon, use: CouponUse, items: Sequence[Item], computed: computation.Computed, currency: str
) -> AdjustmentLine:
    taken = _taken(computed, str(coupon.id))
    how: dict[str, Any] = {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code,
        "name": coupon.name,
        "scope": coupon.scope,
        "use": use.number,
    }
    if coupon.percent_off is not None:
        how["percent_off"] = wording.plain(coupon.percent_off)
        off = f"{number(coupon.percent_off)}% off"
    else:
        how["amount_off"] = wording.plain(coupon.amount_off or ZERO)
        off = f"{format_amount(coupon.amount_off or ZERO, currency)} off"
    how |= {"of": coupon.limit} if coupon.limit is not None else {}
    how["by_line"] = _by_line(taken, items)
    limit = f", invoice {use.number} of {coupon.limit}" if (coupon.limit or 1) > 1 else ""
    says = f"{coupon.name} ({coupon.code}): {off}{limit}"
    return AdjustmentLine(DISCOUNT, says, -use.amount, {"discount": how})


def _by_line(taken: Iterable[tuple[int, Decimal]], items: Sequence[Item]) -> list[dict[str, Any]]:
    """Say what was taken of which charge. `place` counts the charges as they were adjusted, from 0."""
    return [
        {
            "place": place,
            "line": items[place].description.partition(" · ")[0],
            "amount": wording.plain(amount),
        }
        for place, amount in taken
    ]


def _tax_lines(levies: Iterable[CustomerTax], taxes: Iterable[Tax], currency: str) -> list[AdjustmentLine]:
    """Write a line for each tax that had something to be taken of."""
    names = {_rate(levy): levy for levy in levies}
    return [_tax_line(names[tax.rate], tax, currency) for tax in taxes if tax.base]


def _tax_line(levy: CustomerTax, tax: Tax, currency: str) -> AdjustmentLine:
    says = f"{levy.name} {number(levy.percentage)}% of {format_amount(tax.base, currency)}"
    charged = bool(tax.amount) or not levy.percentage
    if not charged:
        says += ": owed by the recipient"
    if levy.is_inclusive and tax.amount:
        says += f": {format_amount(tax.amount, currency)} contained in the prices"
    how = {
        "rate_id": levy.rate_id,
        "code": levy.code,
        "name": levy.name,
        "percentage": wording.plain(levy.percentage),
        "inclusive": levy.is_inclusive,
        "base": wording.plain(tax.base),
        "amount": wording.plain(tax.amount),
        "charged": charged,
    }
    return AdjustmentLine(TAX, says, ZERO if levy.is_inclusive else tax.amount, {"tax": how})


def _parts(computed: computation.Computed) -> Iterable[Part]:
    for place, line in enumerate(computed.lines):
        included = sum((tax.by_line[place] for tax in computed.taxes if tax.rate.inclusive), ZERO)
        yield Part(sum((each.amount for each in line.reductions), ZERO), line.tax - included, included)


def _take_credit(lots: Iterable[AvailableCredit], total: Decimal, at: datetime) -> Decimal:
    """Take what prepaid credit pays of a total, in order; of one below zero all of it becomes credit."""
    if total <= 0:
        return total
    taken = ZERO
    for lot in lots:
        if lot.available > 0 and (lot.expires_at is None or lot.expires_at > at):
            part = min(lot.available, total - taken)
            lot.available -= part
            taken += part
    return taken
