"""The order in which an invoice is computed, from rated lines to the amount due. Every step is kept to be shown.

1. Each line's amount, for its share of the period, rounded once.
2. Line minimum (a top-up) and line maximum (a reduction).
3. Minimum commitment: what all lines lack becomes a line of its own.
4. Line discounts, as listed.
5. Invoice discounts: percentages, each of what is left, then fixed amounts; cents by largest remainder.
6. Taxes on what is left, each rounded once.
7. A total below zero becomes subscription credit. From one above, prepaid credits are taken, in the order given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.adjustments.discounts import Discount, Order, Split, discount_amount, ordered, split_discount
from billing.adjustments.taxes import Tax, TaxRate, TaxRounding, compute_taxes
from billing.money import ZERO, Precision, precision_of, to_decimal

COMMITMENT = "commitment"
EARLIER = "earlier discounts"
_ALL = Fraction(1)


@dataclass(frozen=True, slots=True)
class Line:
    """A line before it is computed. `amount` is exact, as rated; `share` is the part of the period it is due for.

    `minimum_amount` shrinks by `minimum_share`. `taxes` of `None` takes the invoice's, `()` is none. A credit below
    zero gives back `discounted_before` less: what its charge had been reduced by.
    """

    key: str
    amount: Decimal
    share: Fraction = _ALL
    minimum_amount: Decimal | None = None
    minimum_share: Fraction = _ALL
    maximum_amount: Decimal | None = None
    taxes: tuple[TaxRate, ...] | None = None
    credit_eligible: bool = True
    discountable: bool = True
    discounted_before: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a period's lines come to at least, before discounts. `already_billed` in it counts."""

    amount: Decimal
    share: Fraction = _ALL
    already_billed: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Credit:
    """Prepaid credit that may be used."""

    key: str
    available: Decimal


@dataclass(frozen=True, slots=True)
class Policy:
    """How ties between billing traditions are decided; the defaults are this product's."""

    discount_order: Order = "percent_first"
    discount_split: Split = "cents"
    tax_rounding: TaxRounding = "per_tax"


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that an invoice is computed from. `line_discounts` apply to the lines that they name, before others.

    `precision` overrides the currency's own.
    """

    currency: str
    lines: tuple[Line, ...]
    taxes: tuple[TaxRate, ...] = ()
    commitment: Commitment | None = None
    line_discounts: tuple[Discount, ...] = ()
    discounts: tuple[Discount, ...] = ()
    credits: tuple[Credit, ...] = ()
    reverse_charge: bool = False
    precision: Precision | None = None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Reduction:
    """What a discount took off a line."""

    code: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ComputedLine:
    """A line as computed. `amount` + `topup` = `gross`; less `over_maximum` and `reductions` = `after_discounts`.

    `tax` is the line's part of all taxes; `net` is `after_discounts` without the tax that its price includes.
    """

    key: str
    amount: Decimal
    topup: Decimal
    over_maximum: Decimal
    reductions: tuple[Reduction, ...]
    after_discounts: Decimal
    net: Decimal
    tax: Decimal

    @property
    def gross(self) -> Decimal:
        return self.amount + self.topup


@dataclass(frozen=True, slots=True)
class CreditUse:
    """What was taken of a prepaid credit, and what is left of it."""

    key: str
    used: Decimal
    left: Decimal


@dataclass(frozen=True, slots=True)
class Computed:
    """An invoice as computed. `lines` ends with the commitment's true-up if there is one.

    `subtotal` - `discount` = `taxable` + inclusive tax; `taxable` + `tax` = `total`, or minus the subscription
    credit.
    """

    lines: tuple[ComputedLine, ...]
    discounts: tuple[Reduction, ...]
    taxes: tuple[Tax, ...]
    credits: tuple[CreditUse, ...]
    subtotal: Decimal
    topup: Decimal
    commitment_trueup: Decimal
    discount: Decimal
    taxable: Decimal
    tax: Decimal
    total: Decimal
    account_credit: Decimal
    credits_applied: Decimal
    credits_left: Decimal
    amount_due: Decimal


@dataclass(slots=True)
class _Working:
    """A line on its way through the steps. `left` is what is left of it, exact."""

    line: Line
    amount: Decimal
    topup: Decimal = ZERO
    over_maximum: Decimal = ZERO
    reductions: list[Reduction] = field(default_factory=list)
    left: Fraction = Fraction(0)

    def reduce(self, code: str, part: Fraction) -> None:
        if part:
            self.left -= part
            self.reductions.append(Reduction(code, to_decimal(part)))


def compute(draft: Draft) -> Computed:
    """Compute an invoice. Raises `ValueError` when a discount names a line that isn't there, or keys repeat."""
    precision = draft.precision or precision_of(draft.currency)
    _check_keys(draft)
    lines = [_priced(line, precision) for line in draft.lines]
    trueup = commitment_trueup(draft.commitment, [line.left for line in lines], precision)
    if trueup:
        lines.append(_Working(Line(COMMITMENT, trueup), trueup, left=Fraction(trueup)))
    _discount_lines(lines, draft.line_discounts, precision)
    discounts = _discount_invoice(lines, draft, precision)
    taxes = compute_taxes(
        [(line.left, draft.taxes if line.line.taxes is None else line.line.taxes) for line in lines],
        precision,
        rounding=draft.policy.tax_rounding,
        reverse_charge=draft.reverse_charge,
    )
    computed = [_computed(line, taxes, position) for position, line in enumerate(lines)]
    return _totals(draft, precision, computed, discounts, taxes, trueup)


def commitment_trueup(
    commitment: Commitment | None, amounts: Sequence[Decimal | Fraction], precision: Precision
) -> Decimal:
    """Return what amounts lack to a minimum commitment for its share of the period. Never below zero."""
    if commitment is None:
        return ZERO
    committed = precision.round_fraction(Fraction(commitment.amount) * commitment.share)
    billed = sum((Fraction(amount) for amount in amounts), Fraction(commitment.already_billed))
    return max(precision.round_fraction(Fraction(committed) - billed), ZERO)


def use_credits(credits_: Sequence[Credit], limit: Decimal) -> list[CreditUse]:
    """Take prepaid credits in the order given until the limit is reached; what isn't needed is left."""
    uses = []
    for credit in credits_:
        used = max(min(credit.available, limit), ZERO)
        limit -= used
        uses.append(CreditUse(credit.key, used, credit.available - used))
    return uses


def _check_keys(draft: Draft) -> None:
    keys = [line.key for line in draft.lines]
    if len(set(keys)) < len(keys) or COMMITMENT in keys:
        raise ValueError("Line keys must differ, also from the commitment's")
    named = (discount.applies_to or frozenset() for discount in (*draft.line_discounts, *draft.discounts))
    if unknown := frozenset().union(*named) - {*keys, COMMITMENT}:
        raise ValueError(f"Discounts name lines that aren't there: {', '.join(sorted(unknown))}")


def _priced(line: Line, precision: Precision) -> _Working:
    amount = precision.round_fraction(Fraction(line.amount) * line.share)
    topup = over = ZERO
    if line.minimum_amount is not None:
        minimum = precision.round_fraction(Fraction(line.minimum_amount) * line.minimum_share)
        topup = max(minimum - amount, ZERO)
    if line.maximum_amount is not None:
        over = max(amount + topup - precision.round(line.maximum_amount), ZERO)
    working = _Working(line, amount, topup, over, left=Fraction(amount + topup - over))
    working.reduce(EARLIER, Fraction(-line.discounted_before))
    return working


def _discount_lines(lines: Sequence[_Working], discounts: Sequence[Discount], precision: Precision) -> None:
    for discount in discounts:
        _reduce([line for line in lines if discount.covers(line.line.key)], discount, precision)


def _discount_invoice(lines: Sequence[_Working], draft: Draft, precision: Precision) -> list[Reduction]:
    reductions = []
    for discount in ordered(draft.discounts, draft.policy.discount_order):
        covered = [line for line in lines if line.line.discountable and discount.covers(line.line.key)]
        amount = _reduce(covered, discount, precision, draft.policy.discount_split)
        reductions.append(Reduction(discount.code, amount))
    return reductions


def _reduce(covered: Sequence[_Working], discount: Discount, precision: Precision, split: Split = "cents") -> Decimal:
    """Take a discount off lines, once for all of them; return what it came to."""
    left = [line.left for line in covered]
    amount = _off(discount, sum((max(each, Fraction(0)) for each in left), Fraction(0)), precision)
    for line, part in zip(covered, split_discount(amount, left, precision, split), strict=True):
        line.reduce(discount.code, part)
    return amount


def _off(discount: Discount, amount: Fraction, precision: Precision) -> Decimal:
    return discount_amount(amount, precision, percent_off=discount.percent_off, amount_off=discount.amount_off)


def _computed(line: _Working, taxes: Sequence[Tax], position: int) -> ComputedLine:
    included = sum((tax.by_line[position] for tax in taxes if tax.rate.inclusive), ZERO)
    left = to_decimal(line.left)
    return ComputedLine(
        key=line.line.key,
        amount=line.amount,
        topup=line.topup,
        over_maximum=line.over_maximum,
        reductions=tuple(line.reductions),
        after_discounts=left,
        net=left - included,
        tax=sum((tax.by_line[position] for tax in taxes), ZERO),
    )


def _totals(
    draft: Draft,
    precision: Precision,
    lines: Sequence[ComputedLine],
    discounts: Sequence[Reduction],
    taxes: Sequence[Tax],
    trueup: Decimal,
) -> Computed:
    subtotal = sum((line.gross for line in lines), ZERO)
    # Parts of an exactly split discount are rounded here, on the total, and nowhere before.
    taxable = precision.round(sum((line.net for line in lines), ZERO))
    tax = sum((each.amount for each in taxes), ZERO)
    balance = taxable + tax
    total = max(balance, ZERO)
    uses = use_credits(draft.credits, min(total, _creditable(draft, precision, lines)))
    applied = sum((use.used for use in uses), ZERO)
    included = sum((each.amount for each in taxes if each.rate.inclusive), ZERO)
    return Computed(
        lines=tuple(lines),
        discounts=tuple(discounts),
        taxes=tuple(taxes),
        credits=tuple(uses),
        subtotal=subtotal,
        topup=sum((line.topup for line in lines), ZERO),
        commitment_trueup=trueup,
        discount=subtotal - taxable - included,
        taxable=taxable,
        tax=tax,
        total=total,
        account_credit=total - balance,
        credits_applied=applied,
        credits_left=sum((use.left for use in uses), ZERO),
        amount_due=total - applied,
    )


def _creditable(draft: Draft, precision: Precision, lines: Sequence[ComputedLine]) -> Decimal:
    barred = {line.key for line in draft.lines if not line.credit_eligible}
    eligible = (line.net + line.tax for line in lines if line.key not in barred)
    return max(precision.round(sum(eligible, ZERO)), ZERO)
