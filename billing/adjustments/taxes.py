"""Calculate taxes: each is rounded once per invoice and split over the charges, so that the parts add up to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing.adjustments.conditions import CustomerTax
from billing.money import ZERO, currency_places, round_amount, spread, to_decimal


@dataclass(frozen=True, slots=True)
class ChargedTax:
    """What an invoice charges for one tax. `base` is the taxed amount, without the tax that prices include.

    `by_charge` adds up to `amount`. Under reverse charge the amounts are zero: the customer owes the tax.
    """

    tax: CustomerTax
    base: Decimal
    amount: Decimal
    by_charge: tuple[Decimal, ...]


def compute_taxes(
    amounts: Sequence[Decimal], taxes: Iterable[CustomerTax], currency: str, *, reverse_charge: bool = False
) -> list[ChargedTax]:
    """Tax each charge's amount after discounts.

    A tax is rounded once, over all charges, and split over them by largest remainder. An inclusive tax is part of the
    price; any other tax is added to the price without the inclusive taxes. Under reverse charge prices don't change.

    Three charges of 0.13 at 20%: 20% of 0.39 is 0.078, so the tax is 0.08 (0.03 + 0.03 + 0.02), not three times 0.03.
    """
    distinct = list({(tax.code, tax.percentage, tax.is_inclusive): tax for tax in taxes}.values())
    if not distinct:
        return []
    inclusive = sum((_ratio(tax) for tax in distinct if tax.is_inclusive), Fraction(0))
    bases = [Fraction(amount) / (1 + inclusive) for amount in amounts]
    base = _rounded(sum(bases, Fraction(0)), currency)
    return [_charged(tax, base, bases, currency, reverse_charge=reverse_charge) for tax in distinct]


def _charged(
    tax: CustomerTax, base: Decimal, bases: Sequence[Fraction], currency: str, *, reverse_charge: bool
) -> ChargedTax:
    if reverse_charge:
        return ChargedTax(tax, base, ZERO, (ZERO,) * len(bases))
    shares = [part * _ratio(tax) for part in bases]
    amount = _rounded(sum(shares, Fraction(0)), currency)
    return ChargedTax(tax, base, amount, tuple(spread(amount, shares, currency_places(currency))))


def _ratio(tax: CustomerTax) -> Fraction:
    return Fraction(tax.percentage) / 100


def _rounded(amount: Fraction, currency: str) -> Decimal:
    return round_amount(to_decimal(amount), currency)
