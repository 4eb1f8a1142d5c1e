"""A subscription with its phases and plan versions, as the rows say it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

from billing.proofs.rater.kinds import PhaseKind, Reset
from billing.proofs.rater.numbers import read, read_optional
from billing.proofs.rater.pricing import Price
from billing.proofs.rater.tally import Feature
from billing.proofs.rater.time import LAST, Cycle, Span, overlap, read_moment, share


class Phase(NamedTuple):
    """Time under one plan version: a trial, active, or paused."""

    kind: PhaseKind
    version: int
    span: Span


@dataclass(frozen=True)
class Fee:
    """A recurring fee for each full period, which can be several billing periods long."""

    price: int
    amount: Fraction
    in_advance: bool
    periods: int = 1


@dataclass(frozen=True)
class FreeUnits:
    """What a plan version includes of a feature; `units` of None are unlimited."""

    units: Fraction | None
    reset: Reset = Reset.PERIOD
    is_prorated: bool = False


NOTHING_FREE = FreeUnits(Fraction(0))


@dataclass(frozen=True)
class Version:
    """What one plan version charges. Terms that are agreed with a customer are a version, too, and share prices."""

    fees: tuple[Fee, ...]
    prices: tuple[Price, ...]
    free: dict[int, FreeUnits]

    def free_units(self, feature: int) -> FreeUnits:
        return self.free.get(feature, NOTHING_FREE)

    def charges(self, price: Price, free: FreeUnits) -> bool:
        return any(price.number == own.number for own in self.prices) and self.free_units(price.feature) == free

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Version":
        return cls(
            tuple(
                Fee(
                    fee["price"],
                    read(fee["amount"]) * read(fee["quantity"]),
                    fee["advance"],
                    fee.get("periods", 1),
                )
                for fee in data["fees"]
            ),
            tuple(Price.read(price) for price in data["usage"]),
            {
                int(feature): FreeUnits(read_optional(free["units"]), Reset(free["reset"]), free["prorated"])
                for feature, free in data["free"].items()
            },
        )


@dataclass(frozen=True)
class Subscription:
    """A subscription in one currency, whose amounts have a number of decimals."""

    cycle: Cycle
    started_at: datetime
    prorates: bool
    places: int
    phases: tuple[Phase, ...]
    versions: dict[int, Version]
    features: dict[int, Feature]

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Subscription":
        """Read a subscription. Its end is the end of its last phase."""
        return cls(
            Cycle.read(data["cycle"]),
            read_moment(data["started_at"]),
            data["prorate"],
            data["places"],
            tuple(_read_phase(phase) for phase in data["phases"]),
            {int(number): Version.read(version) for number, version in data["versions"].items()},
            {feature["feature"]: Feature.read(feature) for feature in data["features"]},
        )

    @property
    def zone(self) -> str:
        return self.cycle.zone

    def full_period(self, at: datetime) -> Span:
        """Return the full billing period that a moment is in, whatever the start and end of the subscription."""
        return self.cycle.full(self.cycle.number_at(at))

    def fee_period(self, at: datetime, periods: int) -> Span:
        """Return the period of a fee that covers several billing periods, counted from the anchor."""
        first = self.cycle.number_at(at)
        first -= first % periods
        return Span(self.cycle.full(first).start, self.cycle.full(first + periods - 1).end)

    def within(self, span: Span, *kinds: PhaseKind) -> Iterator[tuple[Phase, Span]]:
        """Yield the phases of these kinds with their part of a span, from the subscription's start on."""
        lifetime = Span(max(span.start, self.started_at), span.end)
        for phase in self.phases:
            part = overlap(phase.span, lifetime) if phase.kind in kinds else None
            if part is not None:
                yield phase, part

    def first_active(self) -> datetime:
        """Return when the first active phase began, without the trial before it."""
        starts = [max(phase.span.start, self.started_at) for phase in self.phases if phase.kind == PhaseKind.ACTIVE]
        return min(starts, default=self.started_at)

    def active_since(self, price: Price, free: FreeUnits) -> datetime:
        """Return when a price was first charged with these free units, under whichever plan version."""
        active = (phase for phase in self.phases if phase.kind == PhaseKind.ACTIVE)
        starts = [phase.span.start for phase in active if self.versions[phase.version].charges(price, free)]
        return max(min(starts, default=self.started_at), self.started_at)

    def share_of_period(self, windows: tuple[Span, ...]) -> Fraction:
        """Return which share of their full billing period some windows take, by local days."""
        full = self.full_period(windows[0].start)
        return sum((share(full, window, self.zone) for window in windows), Fraction(0))


def _read_phase(data: dict[str, Any]) -> Phase:
    end = LAST if data["end"] is None else read_moment(data["end"])
    return Phase(PhaseKind(data["kind"]), data["version"], Span(read_moment(data["start"]), end))
