"""Taxes: one rounding per tax on the invoice, and every line's part of it, so that lines add up to the total."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billing.money import ZERO, Precision, spread

TaxRounding = Literal["per_tax", "per_line", "invoice"]


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A named tax. An inclusive one is part of the price already; any other comes on top."""

    code: str
    rate_percent: Decimal
    inclusive: bool = False

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.rate_percent) / 100


@dataclass(frozen=True, slots=True)
class Tax:
    """What one tax comes to. `base` is what it is taken of, without inclusive tax; `by_line` adds up to `amount`.

    Under reverse charge the amounts are zero: the customer owes the tax.
    """

    rate: TaxRate
    base: Decimal
    amount: Decimal
    by_line: tuple[Decimal, ...]


def compute_taxes(
    lines: Sequence[tuple[Fraction, Sequence[TaxRate]]],
    precision: Precision,
    *,
    rounding: TaxRounding = "per_tax",
    reverse_charge: bool = False,
) -> list[Tax]:
    """Tax what is left of each line at its own rates, one result per tax, in the order they first appear.

    A tax is rounded once, over all of its lines, and handed out to them by largest remainder; "per_line"
    rounds each line's part, "invoice" only the sum of all taxes. Reverse charge leaves prices as they are,
    without tax.
    """
    rates = list(dict.fromkeys(rate for _, line_rates in lines for rate in line_rates))
    bases = [_base(left, line_rates) for left, line_rates in lines]
    shares = {
        rate: [
            base * rate.ratio if rate in line_rates else Fraction(0)
            for base, (_, line_rates) in zip(bases, lines, strict=True)
        ]
        for rate in rates
    }
    by_line = {rate: [ZERO] * len(lines) for rate in rates}
    if not reverse_charge:
        by_line = _rounded(shares, precision, rounding)
    return [
        Tax(rate, _taxed(rate, bases, lines, precision), sum(by_line[rate], ZERO), tuple(by_line[rate]))
        for rate in rates
    ]


def _base(left: Fraction, rates: Sequence[TaxRate]) -> Fraction:
    return left / (1 + sum((rate.ratio for rate in rates if rate.inclusive), Fraction(0)))


def _taxed(
    rate: TaxRate,
    bases: Sequence[Fraction],
    lines: Sequence[tuple[Fraction, Sequence[TaxRate]]],
    precision: Precision,
) -> Decimal:
    taxed = (base for base, (_, rates) in zip(bases, lines, strict=True) if rate in rates)
    return precision.round_fraction(sum(taxed, Fraction(0)))


def _rounded(
    shares: dict[TaxRate, list[Fraction]], precision: Precision, rounding: TaxRounding
) -> dict[TaxRate, list[Decimal]]:
    if rounding == "per_line":
        return {rate: [precision.round_fraction(part) for part in parts] for rate, parts in shares.items()}
    sums = [sum(parts, Fraction(0)) for parts in shares.values()]
    amounts = [precision.round_fraction(each) for each in sums]
    if rounding == "invoice":
        total = precision.round_fraction(sum(sums, Fraction(0)))
        amounts = spread(total, sums, precision.places)
    return {
        rate: spread(amount, parts, precision.places)
        for (rate, parts), amount in zip(shares.items(), amounts, strict=True)
    }
