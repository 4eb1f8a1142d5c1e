"""Rate a quantity by the terms of a price: an exact amount, with the steps of its calculation.

Pure: no Django, no clock, no rounding of money. Invoices, previews, late adjustments and proofs all use `rate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from billing.money import ZERO, exact, round_to
from billing.rating.terms import Conversion, Model, Terms, Tier
from catalog.kinds import PackageRounding

PartKind = Literal["units", "packages", "tier", "flat", "percentage", "cap"]
HUNDRED = Decimal(100)


class QuantityOutOfRange(ValueError):
    """No tier of the price covers the quantity."""


class EventsNeeded(ValueError):
    """The price charges single events, so their total can't be rated."""


@dataclass(frozen=True, slots=True)
class RatedPart:
    """One step of a calculation; the steps of a `Rated` add up to its amount.

    `quantity` counts units, packages, or the amount that a percentage is taken of. `tier` counts from 1; it holds
    quantities above `from_quantity`, up to and including `up_to`. A `cap` part is the negative amount above the cap.
    """

    kind: PartKind
    amount: Decimal
    quantity: Decimal = ZERO
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    rate_percent: Decimal | None = None
    tier: int | None = None
    from_quantity: Decimal | None = None
    up_to: Decimal | None = None
    cap_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rated:
    """A rated quantity. `amount` is exact: the invoice line rounds it, once.

    `quantity` is the metered quantity, `free_units_used` of it were free, and `billable_quantity` was priced, after any
    conversion.
    """

    amount: Decimal
    quantity: Decimal
    free_units_used: Decimal
    billable_quantity: Decimal
    parts: tuple[RatedPart, ...]


def rate(quantity: Decimal, terms: Terms) -> Rated:
    """Price a quantity from which free units are already deducted. Negative usage counts as zero.

    Raises `QuantityOutOfRange` above a last tier that has an end, and `EventsNeeded` for terms that only `rate_events`
    can price. Tiers up to 10 at $1.00 and above at $0.50, for 15 units: graduated 10 × 1.00 + 5 × 0.50 = 12.50, volume
    15 × 0.50 = 7.50.
    """
    with exact():
        billable = convert_quantity(max(quantity, ZERO), terms.conversion)
        parts = _parts(billable, terms)
        return rated(parts, terms, quantity=quantity, billable_quantity=billable)


def rated(
    parts: Sequence[RatedPart],
    terms: Terms,
    *,
    quantity: Decimal,
    billable_quantity: Decimal,
    free_units_used: Decimal = ZERO,
) -> Rated:
    """Add up the parts of a price, and deduct the amount above its cap."""
    with exact():
        total = sum((part.amount for part in parts), ZERO)
        if terms.cap_amount is not None and total > terms.cap_amount:
            parts = [*parts, RatedPart("cap", terms.cap_amount - total, cap_amount=terms.cap_amount)]
            total = terms.cap_amount
    return Rated(total, quantity, free_units_used, billable_quantity, tuple(parts))


def convert_quantity(quantity: Decimal, conversion: Conversion | None) -> Decimal:
    """Convert a metered quantity to the priced one: multiply, divide, round. 1,500 MB / 1,000, rounded up, is 2 GB."""
    if conversion is None:
        return quantity
    with exact():
        converted = quantity * conversion.multiply_by / conversion.divide_by
        return round_to(converted, 0, conversion.rounding)


def _parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if terms.model is Model.PER_UNIT:
        return _unit_parts(billable, terms)
    if terms.model is Model.PACKAGE:
        return _package_parts(billable, terms)
    if terms.model is Model.FLAT:
        return _flat_parts(billable, terms)
    if terms.model is Model.VOLUME:
        return _volume_parts(billable, terms)
    if terms.model is Model.PERCENTAGE:
        return _percentage_parts(billable, terms)
    return _graduated_parts(billable, terms)


def _unit_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if not billable:
        return []
    return [RatedPart("units", billable * terms.unit_amount, billable, terms.unit_amount)]


def _package_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    count, remainder = divmod(billable, terms.package_size)
    if remainder and terms.package_rounding == PackageRounding.UP:
        count += 1
    return [RatedPart("packages", count * terms.unit_amount, count, terms.unit_amount)] if count else []


def _flat_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if not (billable or terms.charge_at_zero):
        return []
    return [RatedPart("flat", terms.flat_amount, flat_amount=terms.flat_amount)]


def _percentage_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if terms.needs_events:
        raise EventsNeeded("The price has amounts or allowances per event")
    charged = max(billable - (terms.free_amount or ZERO), ZERO)
    if not charged:
        return []
    return [RatedPart("percentage", charged * terms.rate_percent / HUNDRED, charged, rate_percent=terms.rate_percent)]


def _volume_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if not (billable or terms.charge_at_zero):
        return []
    lower = ZERO
    for number, tier in enumerate(terms.tiers, start=1):
        if tier.up_to is None or billable <= tier.up_to:
            return [_tier_part(number, tier, lower, billable, terms.model)]
        lower = tier.up_to
    raise QuantityOutOfRange(f"No tier holds {billable}")


def _graduated_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    parts: list[RatedPart] = []
    lower = ZERO
    for number, tier in enumerate(terms.tiers, start=1):
        if billable <= lower and (number > 1 or not terms.charge_at_zero):
            return parts
        top = billable if tier.up_to is None else min(billable, tier.up_to)
        if top > lower or not billable:  # a first tier up to zero is empty and charges only for a quantity of zero
            parts.append(_tier_part(number, tier, lower, top - lower, terms.model))
        lower = top
    if billable > lower:
        raise QuantityOutOfRange(f"No tier holds {billable}")
    return parts


def _tier_part(number: int, tier: Tier, lower: Decimal, quantity: Decimal, model: Model) -> RatedPart:
    percentage = model is Model.GRADUATED_PERCENTAGE
    unit_amount = tier.rate_percent / HUNDRED if percentage else tier.unit_amount
    return RatedPart(
        "tier",
        quantity * unit_amount + tier.flat_amount,
        quantity,
        unit_amount,
        tier.flat_amount,
        tier.rate_percent if percentage else None,
        number,
        lower,
        tier.up_to,
    )
