"""What a price charges for, as plain values: the terms that rating reads.

Terms are built from a plan's rows, from an API body or by hand; `check_terms` says what is wrong with them before
a plan is published. Rating itself trusts nothing that it needs: it refuses a quantity that no tier covers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from billing.money import ZERO, round_to

PRICE_PLACES = 12
ONE = Decimal(1)


class InvalidTerms(ValueError):
    """The terms can't be sold. `problems` lists every reason, each a sentence for staff."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class Model(StrEnum):
    """How a quantity becomes an amount."""

    PER_UNIT = "per_unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"
    FLAT = "flat"
    PERCENTAGE = "percentage"
    GRADUATED_PERCENTAGE = "graduated_percentage"

    @property
    def tiered(self) -> bool:
        return self in (Model.GRADUATED, Model.VOLUME, Model.GRADUATED_PERCENTAGE)


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a tiered price. Holds quantities up to and including `up_to`; `None` is open.

    `rate_percent` takes the unit amount's place in graduated percentage prices. `cap_amount` limits what the tier
    charges, its flat amount included.
    """

    up_to: Decimal | None = None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    cap_amount: Decimal | None = None
    rate_percent: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a metered quantity becomes a priced one: bytes to gigabytes, rounded up.

    `rounding` is one of `money.round_to`'s modes, to whole units. `free_units` come off after it; the free units
    of a plan come off the metered quantity before.
    """

    multiply_by: Decimal = ONE
    divide_by: Decimal = ONE
    rounding: str = "none"
    free_units: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a price.

    `unit_amount` is the amount per unit, or per package. `flat_amount` is the flat model's whole amount.
    `cap_amount` limits the total. `charge_at_zero` says whether a flat amount (the first tier's, or the flat model's)
    is due when nothing is billable. The last three fields are for prices that come from systems which decide
    otherwise: `tier_boundary` "next_tier" moves a quantity on a volume tier's bound up a tier, `beyond_last_tier`
    "covered_only" leaves graduated units past a bounded last tier unbilled, `negative_quantity` "error" refuses what
    is otherwise clamped to zero.
    """

    model: Model
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    package_size: Decimal = ONE
    package_rounding: str = "up"
    tiers: tuple[Tier, ...] = ()
    cap_amount: Decimal | None = None
    conversion: Conversion | None = None
    charge_at_zero: bool = True
    rate_percent: Decimal = ZERO
    fixed_amount_per_event: Decimal = ZERO
    free_events: int | None = None
    free_amount: Decimal | None = None
    per_event_min: Decimal | None = None
    per_event_max: Decimal | None = None
    tier_boundary: Literal["upper_inclusive", "next_tier"] = "upper_inclusive"
    beyond_last_tier: Literal["error", "covered_only"] = "error"
    negative_quantity: Literal["clamp", "error"] = "clamp"

    def __post_init__(self) -> None:
        # A plain string, as a database row gives it, must not slip past the comparisons and be priced at nothing.
        object.__setattr__(self, "model", Model(self.model))

    @property
    def needs_events(self) -> bool:
        """Whether the amount depends on single events, so that a total alone can't be rated."""
        per_event = (self.free_events, self.per_event_min, self.per_event_max)
        return self.model is Model.PERCENTAGE and (
            self.fixed_amount_per_event != 0 or any(value is not None for value in per_event)
        )


def check_terms(terms: Terms) -> None:
    """Refuse terms that can't be sold, naming everything that is wrong. Raises `InvalidTerms`."""
    if problems := list(terms_problems(terms)):
        raise InvalidTerms(problems)


def terms_problems(terms: Terms) -> Iterator[str]:
    """Say what is wrong with a price, a sentence a problem. Nothing: it can be published."""
    yield from _amount_problems("The price", _amounts(terms))
    if terms.model is Model.PACKAGE and terms.package_size <= 0:
        yield "A package holds more than zero units."
    if terms.package_rounding not in ("up", "down"):
        yield "Started packages round up or down."
    if terms.conversion:
        yield from _conversion_problems(terms.model, terms.conversion)
    if terms.model is Model.PERCENTAGE:
        yield from _percentage_problems(terms)
    if terms.model.tiered:
        yield from _tier_problems(terms)
    elif terms.tiers:
        yield f"A {terms.model.value.replace('_', ' ')} price has no tiers."


def _amounts(terms: Terms) -> dict[str, Decimal | None]:
    return {
        "unit amount": terms.unit_amount,
        "flat amount": terms.flat_amount,
        "cap": terms.cap_amount,
        "rate": terms.rate_percent,
        "fixed amount per event": terms.fixed_amount_per_event,
        "free amount": terms.free_amount,
        "minimum per event": terms.per_event_min,
        "maximum per event": terms.per_event_max,
    }


def _amount_problems(owner: str, amounts: dict[str, Decimal | None]) -> Iterator[str]:
    for name, amount in amounts.items():
        if amount is None:
            continue
        if not amount.is_finite():
            yield f"{owner}'s {name} isn't a number."
        elif amount < 0:
            yield f"{owner}'s {name} is negative."
        elif amount != round_to(amount, PRICE_PLACES):
            yield f"{owner}'s {name} has more than {PRICE_PLACES} decimals."


def _conversion_problems(model: Model, conversion: Conversion) -> Iterator[str]:
    if conversion.multiply_by <= 0 or conversion.divide_by <= 0:
        yield "A quantity is converted by a number above zero."
    if conversion.free_units < 0:
        yield "Free units can't be negative."
    if model is Model.PERCENTAGE:
        yield "A percentage price has no quantity to convert."


def _percentage_problems(terms: Terms) -> Iterator[str]:
    if terms.free_events is not None and terms.free_events < 0:
        yield "The number of free events can't be negative."
    least, most = terms.per_event_min, terms.per_event_max
    if least is not None and most is not None and least > most:
        yield "The minimum per event is above the maximum."


def _tier_problems(terms: Terms) -> Iterator[str]:
    if not terms.tiers:
        yield "A tiered price needs at least one tier."
        return
    for number, tier in enumerate(terms.tiers, start=1):
        amounts = {"unit amount": tier.unit_amount, "flat amount": tier.flat_amount, "rate": tier.rate_percent}
        yield from _amount_problems(f"Tier {number}", {**amounts, "cap": tier.cap_amount})
    yield from _bound_problems(terms)


def _bound_problems(terms: Terms) -> Iterator[str]:
    lower = ZERO
    for number, tier in enumerate(terms.tiers[:-1], start=1):
        if tier.up_to is None:
            yield f"Tier {number} is open, so the tiers after it are never reached. Only the last may be open."
        elif tier.up_to <= lower:
            yield f"Tier {number} ends at {tier.up_to}, not above {lower} where it begins."
        lower = lower if tier.up_to is None else tier.up_to
    last = terms.tiers[-1].up_to
    if last is None:
        return
    if last <= lower:
        yield f"Tier {len(terms.tiers)} ends at {last}, not above {lower} where it begins."
    if terms.beyond_last_tier == "error":
        yield "The last tier is bounded: usage above it would have no price. Leave its upper bound empty."
