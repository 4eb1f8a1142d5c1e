"""The terms of a price as plain values."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from billing.money import ZERO
from catalog.kinds import PackageRounding

ONE = Decimal(1)


class Model(StrEnum):
    """How a quantity is priced."""

    PER_UNIT = "per_unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"
    FLAT = "flat"
    PERCENTAGE = "percentage"
    GRADUATED_PERCENTAGE = "graduated_percentage"


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of a price, for quantities up to and including `up_to`; `None` has no limit.

    Graduated percentage prices use `rate_percent` instead of the unit amount.
    """

    up_to: Decimal | None = None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    rate_percent: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a metered quantity is converted before it is priced: bytes to gigabytes, rounded up.

    `rounding` is one of the modes of `money.round_to`, to whole units. Free units are deducted before the conversion.
    """

    multiply_by: Decimal = ONE
    divide_by: Decimal = ONE
    rounding: str = "none"


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a price.

    `unit_amount` is the amount per unit, or per package. `flat_amount` is the amount of the flat model.
    `cap_amount` limits the total. `charge_at_zero` says whether a flat amount (the first tier's, or the flat model's)
    is due when nothing is billable.
    """

    model: Model
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    package_size: Decimal = ONE
    package_rounding: PackageRounding = PackageRounding.UP
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
        # A plain string from a database row would fail the `is` comparisons and be priced at zero.
        object.__setattr__(self, "model", Model(self.model))

    @property
    def needs_events(self) -> bool:
        """Whether the amount depends on single events, so that their total can't be rated."""
        per_event = (self.free_events, self.per_event_min, self.per_event_max)
        return self.model is Model.PERCENTAGE and (
            self.fixed_amount_per_event != 0 or any(value is not None for value in per_event)
        )
