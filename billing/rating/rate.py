"""Rating: from a quantity and the terms of a price to an exact amount, with how it came about.

Pure: no Django, no clock, no rounding of money. Invoices, previews, simulations, late adjustments, proofs and tests
all call `rate`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from billing.money import ZERO, exact, round_to
from billing.rating.terms import Conversion, InvalidTerms, Model, Terms, Tier, check_terms, terms_problems

__all__ = [
    "CapacityTier",
    "Conversion",
    "EventsNeeded",
    "InvalidTerms",
    "Model",
    "NegativeQuantity",
    "QuantityOutOfRange",
    "Rated",
    "RatedPart",
    "Terms",
    "Tier",
    "capacity_price",
    "check_terms",
    "combined",
    "convert_quantity",
    "free_units_by_subperiod",
    "free_units_left",
    "rate",
    "rate_buckets",
    "split_free_units",
    "terms_problems",
]

PartKind = Literal["units", "packages", "tier", "flat", "percentage", "cap"]
HUNDRED = Decimal(100)


class QuantityOutOfRange(ValueError):
    """No tier of the price covers the quantity."""


class NegativeQuantity(ValueError):
    """The quantity is negative, and the price refuses that rather than charging nothing."""


class EventsNeeded(ValueError):
    """The price charges single events, so their total alone can't be rated."""


@dataclass(frozen=True, slots=True)
class RatedPart:
    """One step of how an amount came about; the steps of a `Rated` add up to its amount.

    `quantity` counts units, packages (`packages`), or the amount that a percentage is taken of. `tier` counts from
    1, and lies above `from_quantity` up to and including `up_to`. A `cap` part is negative: what the price's cap
    takes off. A tier's own cap is inside its amount.
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

    `quantity` is as metered, `free_units_used` of it were free, and `billable_quantity` is what was priced, after
    any conversion.
    """

    amount: Decimal
    quantity: Decimal
    free_units_used: Decimal
    billable_quantity: Decimal
    parts: tuple[RatedPart, ...]


def rate(
    quantity: Decimal,
    terms: Terms,
    *,
    free_units: Decimal | None = ZERO,
    tier_quantity: Decimal | None = None,
) -> Rated:
    """Price a quantity. Free units come off before conversion, packages and tiers; `None` is unlimited.

    Negative usage counts as zero. `tier_quantity` picks a volume price's tier in place of the quantity itself.
    Raises `QuantityOutOfRange` past a bounded last tier, `EventsNeeded` for terms that `rate_events` must price, and
    `NegativeQuantity` where the terms ask for it.
    """
    with exact():
        used = _clamped(quantity, terms)
        free = used if free_units is None else min(used, max(free_units, ZERO))
        billable = convert_quantity(used - free, terms.conversion)
        parts = _parts(billable, terms, tier_quantity)
        return rated(parts, terms, quantity=quantity, free_units_used=free, billable_quantity=billable)


def rated(
    parts: Sequence[RatedPart],
    terms: Terms,
    *,
    quantity: Decimal,
    free_units_used: Decimal,
    billable_quantity: Decimal,
) -> Rated:
    """Add up the parts of a price, and take off what lies above its cap."""
    with exact():
        total = sum((part.amount for part in parts), ZERO)
        if terms.cap_amount is not None and total > terms.cap_amount:
            parts = [*parts, RatedPart("cap", terms.cap_amount - total, cap_amount=terms.cap_amount)]
            total = terms.cap_amount
    return Rated(total, quantity, free_units_used, billable_quantity, tuple(parts))


def rate_buckets(quantities: Iterable[Decimal], terms: Terms, *, free_units: Decimal | None = ZERO) -> list[Rated]:
    """Price each bucket or group alone: free units, packages and tiers begin anew in every one.

    An empty bucket costs nothing, also where the terms charge a flat amount at zero. `combined` adds them up.
    """
    ratings = (rate(quantity, terms, free_units=free_units) for quantity in quantities)
    return [
        each if each.billable_quantity else Rated(ZERO, each.quantity, each.free_units_used, ZERO, ())
        for each in ratings
    ]


def combined(ratings: Sequence[Rated]) -> Rated:
    """Add up ratings of separate buckets, groups or sub-periods, one after the other."""
    with exact():
        return Rated(
            sum((each.amount for each in ratings), ZERO),
            sum((each.quantity for each in ratings), ZERO),
            sum((each.free_units_used for each in ratings), ZERO),
            sum((each.billable_quantity for each in ratings), ZERO),
            tuple(part for each in ratings for part in each.parts),
        )


def convert_quantity(quantity: Decimal, conversion: Conversion | None) -> Decimal:
    """Turn a metered quantity into the priced one: multiplied, divided, rounded, less the conversion's free units."""
    if conversion is None:
        return quantity
    with exact():
        converted = quantity * conversion.multiply_by / conversion.divide_by
        rounded = round_to(converted, 0, conversion.rounding)
        return max(rounded - conversion.free_units, ZERO) if conversion.free_units else rounded


def split_free_units(free_units: Decimal | None, previous: Decimal, line: Decimal) -> tuple[Decimal, Decimal]:
    """Spend one allowance over two lines, the earlier first. Returns what of each is billable."""
    if free_units is None:
        return ZERO, ZERO
    with exact():
        billable_previous = max(previous - free_units, ZERO)
        return billable_previous, max(previous + line - free_units, ZERO) - billable_previous


def free_units_by_subperiod(quantities: Iterable[Decimal], limit: Decimal | None) -> Decimal:
    """Return what is billable when the allowance starts anew each sub-period: daily, monthly, what isn't used lapses.

    `quantities` is the usage of each sub-period; `None` is unlimited. Negative usage of one counts as zero.
    """
    if limit is None:
        return ZERO
    with exact():
        return sum((max(quantity - limit, ZERO) for quantity in quantities), ZERO)


def free_units_left(limit: Decimal | None, used_before: Decimal) -> Decimal | None:
    """Return what is left of an allowance that never resets, given all usage before. `None` is unlimited."""
    if limit is None:
        return None
    with exact():
        return max(limit - max(used_before, ZERO), ZERO)


@dataclass(frozen=True, slots=True)
class CapacityTier:
    """A flat price for a capacity. `limits` are inclusive maxima by unit name; `None`, or no entry, is unlimited."""

    price: Decimal
    limits: Mapping[str, Decimal | None]

    def holds(self, usage: Mapping[str, Decimal]) -> bool:
        """Tell whether every unit's usage is within its limit."""
        limits = ((self.limits.get(unit), used) for unit, used in usage.items())
        return all(limit is None or used <= limit for limit, used in limits)


def capacity_price(tiers: Iterable[CapacityTier], usage: Mapping[str, Decimal]) -> Decimal:
    """Return the price of the first tier whose limits hold the peak usage of every unit.

    Raises `QuantityOutOfRange` when none does.
    """
    for tier in tiers:
        if tier.holds(usage):
            return tier.price
    raise QuantityOutOfRange("No tier's limits hold this usage")


def _clamped(quantity: Decimal, terms: Terms) -> Decimal:
    if quantity < 0 and terms.negative_quantity == "error":
        raise NegativeQuantity(f"The quantity is {quantity}")
    return max(quantity, ZERO)


def _parts(billable: Decimal, terms: Terms, tier_quantity: Decimal | None) -> list[RatedPart]:
    if terms.model is Model.PER_UNIT:
        return _unit_parts(billable, terms)
    if terms.model is Model.PACKAGE:
        return _package_parts(billable, terms)
    if terms.model is Model.FLAT:
        return _flat_parts(billable, terms)
    if terms.model is Model.VOLUME:
        return _volume_parts(billable, terms, billable if tier_quantity is None else tier_quantity)
    if terms.model is Model.PERCENTAGE:
        return _percentage_parts(billable, terms)
    return _graduated_parts(billable, terms)


def _unit_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if not billable:
        return []
    return [RatedPart("units", billable * terms.unit_amount, billable, terms.unit_amount)]


def _package_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    count, remainder = divmod(billable, terms.package_size)
    if remainder and terms.package_rounding == "up":
        count += 1
    return [RatedPart("packages", count * terms.unit_amount, count, terms.unit_amount)] if count else []


def _flat_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if not (billable or terms.charge_at_zero):
        return []
    return [RatedPart("flat", terms.flat_amount, flat_amount=terms.flat_amount)]


def _percentage_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    if terms.needs_events:
        raise EventsNeeded("The price has amounts or allowances per event")
    taxed = max(billable - (terms.free_amount or ZERO), ZERO)
    if not taxed:
        return []
    return [RatedPart("percentage", taxed * terms.rate_percent / HUNDRED, taxed, rate_percent=terms.rate_percent)]


def _volume_parts(billable: Decimal, terms: Terms, chooser: Decimal) -> list[RatedPart]:
    if not (billable or terms.charge_at_zero):
        return []
    lower = ZERO
    for number, tier in enumerate(terms.tiers, start=1):
        upper = tier.up_to
        if upper is None or chooser < upper or (chooser == upper and terms.tier_boundary == "upper_inclusive"):
            return [_tier_part(number, tier, lower, billable, terms.model)]
        lower = upper
    raise QuantityOutOfRange(f"No tier holds {chooser}")


def _graduated_parts(billable: Decimal, terms: Terms) -> list[RatedPart]:
    parts: list[RatedPart] = []
    lower = ZERO
    for number, tier in enumerate(terms.tiers, start=1):
        if billable <= lower and (number > 1 or not terms.charge_at_zero):
            return parts
        top = billable if tier.up_to is None else min(billable, tier.up_to)
        if top > lower or not billable:  # a first tier up to zero holds nothing, and charges nothing else
            parts.append(_tier_part(number, tier, lower, top - lower, terms.model))
        lower = top
    if billable > lower and terms.beyond_last_tier == "error":
        raise QuantityOutOfRange(f"No tier holds {billable}")
    return parts


def _tier_part(number: int, tier: Tier, lower: Decimal, quantity: Decimal, model: Model) -> RatedPart:
    percentage = model is Model.GRADUATED_PERCENTAGE
    unit_amount = tier.rate_percent / HUNDRED if percentage else tier.unit_amount
    amount = quantity * unit_amount + tier.flat_amount
    return RatedPart(
        "tier",
        amount if tier.cap_amount is None else min(amount, tier.cap_amount),
        quantity,
        unit_amount,
        tier.flat_amount,
        tier.rate_percent if percentage else None,
        number,
        lower,
        tier.up_to,
        tier.cap_amount,
    )
