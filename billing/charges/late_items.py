"""What a price charged for a period, as figures that can be subtracted. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from billing.kinds import USAGE_KINDS, LineKind
from billing.money import ZERO, exact
from customers.periods import Period


class ChargedLine(Protocol):
    """A line of an invoice, saved or only calculated."""

    @property
    def kind(self) -> str: ...
    @property
    def price_id(self) -> int | None: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def free_units(self) -> Decimal: ...
    @property
    def billable_quantity(self) -> Decimal: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def events_count(self) -> int | None: ...
    @property
    def events_checksum(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """Usage and its price: units, the rounded amount, and the events (their number and the checksum of their ids).

    The difference of two figures has the same form. Its checksum covers the events that are in only one of the two.
    """

    quantity: Decimal = ZERO
    free: Decimal = ZERO
    billable: Decimal = ZERO
    amount: Decimal = ZERO
    events: int = 0
    checksum: int = 0

    def plus(self, other: "Figures") -> "Figures":
        with exact():
            return Figures(
                self.quantity + other.quantity,
                self.free + other.free,
                self.billable + other.billable,
                self.amount + other.amount,
                self.events + other.events,
                self.checksum ^ other.checksum,
            )

    def minus(self, other: "Figures") -> "Figures":
        with exact():
            return Figures(
                self.quantity - other.quantity,
                self.free - other.free,
                self.billable - other.billable,
                self.amount - other.amount,
                self.events - other.events,
                self.checksum ^ other.checksum,
            )


NOTHING = Figures()


def figures_by_price(lines: Iterable[ChargedLine]) -> dict[int, Figures]:
    """Add up the usage lines of every price, including true-ups to a minimum; skip other lines."""
    by_price: dict[int, Figures] = {}
    for line in lines:
        if line.price_id is not None and line.kind in USAGE_KINDS:
            by_price[line.price_id] = by_price.get(line.price_id, NOTHING).plus(_figures(line))
    return by_price


def _figures(line: ChargedLine) -> Figures:
    if line.kind == LineKind.TRUE_UP:
        return Figures(amount=line.amount)
    return Figures(
        line.quantity,
        line.free_units,
        line.billable_quantity,
        line.amount,
        line.events_count or 0,
        line.events_checksum or 0,
    )


@dataclass(frozen=True, slots=True)
class LateItem:
    """A late adjustment that an invoice can include: what a price charges for an earlier period now, and before."""

    adjustment_id: int
    price_id: int
    version_id: int
    feature_id: int
    label: str
    units: tuple[str, str]
    period: Period
    before: Figures
    after: Figures
    invoice_id: int | None = None
    invoice: str = ""
    line_id: int | None = None
    again: list[dict[str, Any]] = field(default_factory=list)
    discount_back: Decimal = ZERO
    credited: Decimal = ZERO
    is_settling: bool = False
