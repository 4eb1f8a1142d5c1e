"""What a quantity costs, by the model of a price. Nothing is rounded here: an invoice line is, once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from billing.proofs.rater.kinds import Model, Rounding
from billing.proofs.rater.numbers import ZERO, read, read_optional, round_to

PERCENT = Fraction(1, 100)


class NoTier(ValueError):
    """The last tier of a price has an end, and the quantity is above it."""


@dataclass(frozen=True)
class Tier:
    """Quantities up to and including `up_to`; without it, all that are left."""

    up_to: Fraction | None
    each: Fraction
    flat: Fraction


@dataclass(frozen=True)
class Price:
    """A usage price."""

    number: int
    feature: int
    model: Model
    unit: Fraction = ZERO
    flat: Fraction = ZERO
    package: Fraction = Fraction(1)
    rounds_up: bool = True
    tiers: tuple[Tier, ...] = ()
    most: Fraction | None = None
    least: Fraction | None = None
    least_quantity: Fraction | None = None
    multiply: Fraction = Fraction(1)
    divide: Fraction = Fraction(1)
    rounding: Rounding = Rounding.NONE
    charges_zero: bool = True
    percent: Fraction = ZERO
    per_event: Fraction = ZERO
    free_events: int | None = None
    free_amount: Fraction | None = None
    event_least: Fraction | None = None
    event_most: Fraction | None = None

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Price":
        model = Model(data["model"])
        is_flat, percentage = model == Model.FLAT, model == Model.GRADUATED_PERCENTAGE
        amount = read(data.get("unit_amount") or 0)
        return cls(
            number=data["price"],
            feature=data["feature"],
            model=model,
            unit=ZERO if is_flat else amount,
            flat=amount if is_flat else ZERO,
            package=read(data.get("package_size") or 1),
            rounds_up=data.get("package_rounding", "up") == "up",
            tiers=tuple(_read_tier(tier, percentage=percentage) for tier in data.get("tiers", ())),
            most=read_optional(data.get("maximum")),
            least=read_optional(data.get("minimum")),
            least_quantity=read_optional(data.get("minimum_quantity")),
            multiply=read(data.get("multiply_by") or 1),
            divide=read(data.get("divide_by") or 1),
            rounding=Rounding(data.get("rounding", Rounding.NONE)),
            charges_zero=data.get("charge_at_zero", True),
            percent=read(data.get("rate_percent") or 0),
            per_event=read(data.get("fixed_amount_per_event") or 0),
            free_events=data.get("free_events"),
            free_amount=read_optional(data.get("free_amount")),
            event_least=read_optional(data.get("per_event_minimum")),
            event_most=read_optional(data.get("per_event_maximum")),
        )

    @property
    def prices_events(self) -> bool:
        """Whether the amount depends on each event, not only on their sum."""
        limits = (self.free_events, self.event_least, self.event_most)
        return self.model == Model.PERCENTAGE and (self.per_event != 0 or any(limit is not None for limit in limits))


def _read_tier(data: dict[str, Any], *, percentage: bool) -> Tier:
    each = read(data.get("rate_percent") or 0) * PERCENT if percentage else read(data.get("unit_amount") or 0)
    return Tier(read_optional(data.get("up_to")), each, read(data.get("flat_amount") or 0))


@dataclass
class Cost:
    """An exact amount, the quantity that was priced, and the free units of the price itself."""

    amount: Fraction = ZERO
    billable: Fraction = ZERO
    free: Fraction = ZERO


def cost_of(quantity: Fraction, price: Price) -> Cost:
    """Price a quantity whose free units are already off. Negative usage costs like no usage."""
    converted = round_to(max(quantity, ZERO) * price.multiply / price.divide, 0, price.rounding)
    return Cost(limited(_amount(converted, price), price), converted)


def limited(amount: Fraction, price: Price) -> Fraction:
    return amount if price.most is None else min(amount, price.most)


def _amount(quantity: Fraction, price: Price) -> Fraction:
    if price.model == Model.PER_UNIT:
        return quantity * price.unit
    if price.model == Model.PACKAGE:
        return round_to(quantity / price.package, 0, Rounding.CEIL if price.rounds_up else Rounding.FLOOR) * price.unit
    if price.model == Model.PERCENTAGE:
        return max(quantity - (price.free_amount or ZERO), ZERO) * price.percent * PERCENT
    if not quantity and not price.charges_zero:
        return ZERO
    if price.model == Model.FLAT:
        return price.flat
    return _by_volume(quantity, price.tiers) if price.model == Model.VOLUME else _by_tiers(quantity, price.tiers)


def _by_volume(quantity: Fraction, tiers: Sequence[Tier]) -> Fraction:
    """Price all units by the tier of the whole quantity. A quantity on a bound belongs to the tier below it."""
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return quantity * tier.each + tier.flat
    raise NoTier(str(quantity))


def _by_tiers(quantity: Fraction, tiers: Sequence[Tier]) -> Fraction:
    """Price each unit by its own tier. A tier's flat amount is due once a unit is in it, the first tier's always."""
    if not quantity:
        return tiers[0].flat if tiers else ZERO
    amount = below = ZERO
    for tier in tiers:
        inside = (quantity if tier.up_to is None else min(quantity, tier.up_to)) - below
        if inside > 0:
            amount += inside * tier.each + tier.flat
            below += inside
    if below < quantity:
        raise NoTier(str(quantity))
    return amount


@dataclass
class EventPrices:
    """Prices events one by one, in the order in which they occurred."""

    price: Price
    cost: Cost = field(default_factory=Cost)
    events_left: int | None = None
    amount_left: Fraction | None = None

    def __post_init__(self) -> None:
        self.events_left, self.amount_left = self.price.free_events, self.price.free_amount

    def add(self, value: Fraction) -> None:
        """Add an event. Within the price's own free events and amount it costs nothing, not even the least amount."""
        free = self._take_free(value)
        if value < 0 or free == value:
            return
        excess = value - (free or ZERO)
        fee = excess * self.price.percent * PERCENT + self.price.per_event
        if self.price.event_least is not None:
            fee = max(fee, self.price.event_least)
        if self.price.event_most is not None:
            fee = min(fee, self.price.event_most)
        self.cost.amount += fee
        self.cost.billable += excess

    def _take_free(self, value: Fraction) -> Fraction | None:
        """Return how much of an event is free; None once the allowance has ended, with its events or its amount."""
        has_any = self.events_left is not None or self.amount_left is not None
        if not has_any or self.events_left == 0 or self.amount_left == 0:
            return None
        positive = max(value, ZERO)
        free = positive if self.amount_left is None else min(positive, self.amount_left)
        if self.events_left is not None:
            self.events_left -= 1
        if self.amount_left is not None:
            self.amount_left -= free
        self.cost.free += free
        return free
