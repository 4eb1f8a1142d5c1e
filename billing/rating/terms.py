"""What a price charges for, as plain values: the terms that rating reads, built from a plan's rows."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from billing.money import ZERO

ONE = Decimal(1)


class Model(StrEnum):
    """How a quantity becomes an amount."""

    PER_UNIT = "per_unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"
    FLAT = "flat"
    PERCENTAGE = "percentage"
    GRADUATED_PERCENTAGE = "graduated_percentage"


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a tiered price. Holds quantities up to and including `up_to`; `None` is open.

    `rate_percent` takes the unit amount's place in graduated percentage prices.
    """

    up_to: Decimal | None = None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    rate_percent: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a metered quantity becomes a priced one: bytes to gigabytes, rounded up.

    `rounding` is one of `money.round_to`'s modes, to whole units. Free units come off the metered quantity before.
    """

    multiply_by: Decimal = ONE
    divide_by: Decimal = ONE
    rounding: str = "none"


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a price.

    `unit_amount` is the amount per unit, or per package. `flat_amount` is the flat model's whole amount.
    `cap_amount` limits the total. `charge_at_zero` says whether a flat amount (the first tier's, or the flat model's)
    is due when nothing is billable.
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
