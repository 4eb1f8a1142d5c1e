"""Adding up events, feature by feature, over slices of time that don't overlap."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from billing.proofs.rater.kinds import Aggregation, Rounding
from billing.proofs.rater.numbers import ZERO, read, round_to
from billing.proofs.rater.time import FIRST, Span, read_moment, seconds


@dataclass(frozen=True)
class Feature:
    """How a feature's events add up."""

    number: int
    aggregation: Aggregation
    is_cumulative: bool = False
    rounding: Rounding = Rounding.NONE
    places: int = 0

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Feature":
        return cls(
            data["feature"],
            Aggregation(data["aggregation"]),
            data["cumulative"],
            Rounding(data["rounding"]),
            data["places"],
        )


@dataclass
class Tally:
    """The events of some time: enough to add them up in any way, and in time order if their values are kept."""

    events: int = 0
    checksum: int = 0
    total: Fraction = ZERO
    by_time: Fraction = ZERO
    largest: Fraction | None = None
    smallest: Fraction | None = None
    latest: Fraction | None = None
    keys: set[str] = field(default_factory=set)
    values: list[Fraction] = field(default_factory=list)

    def join(self, later: "Tally") -> "Tally":
        """Return this and a later tally as one."""
        largest = [number for number in (self.largest, later.largest) if number is not None]
        smallest = [number for number in (self.smallest, later.smallest) if number is not None]
        return Tally(
            self.events + later.events,
            self.checksum ^ later.checksum,
            self.total + later.total,
            self.by_time + later.by_time,
            max(largest, default=None),
            min(smallest, default=None),
            self.latest if later.latest is None else later.latest,
            self.keys | later.keys,
            [*self.values, *later.values],
        )


@dataclass
class Reading:
    """What a feature amounts to in a window, and the events of it."""

    quantity: Fraction
    events: int
    checksum: int
    values: list[Fraction]


class Ledger:
    """The events of one feature, added up in the slices that the windows of its charges cut time into."""

    def __init__(self, feature: Feature, windows: Iterable[Span], *, keeps_values: bool) -> None:
        self.feature, self.keeps_values = feature, keeps_values
        known = list(windows)
        self.spans = [self._counted_span(window) for window in known]
        self.edges = sorted({edge for span in (*known, *self.spans) for edge in span})
        self.slices = [Tally() for _ in self.edges]

    def needs(self) -> list[Span]:
        """List the time whose events are needed, without overlaps."""
        joined: list[Span] = []
        for span in sorted(span for span in self.spans if span.start < span.end):
            if joined and span.start <= joined[-1].end:
                joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
            else:
                joined.append(span)
        return joined

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add events, each as time, checksum of its id, number and unique key, in the order in which they occurred."""
        for text, checksum, number, key in rows:
            at = read_moment(text)
            place = bisect_right(self.edges, at) - 1
            if place >= 0:
                self._add(self.slices[place], at, int(checksum), None if number is None else read(number), key)

    def _add(self, tally: Tally, at: datetime, checksum: int, number: Fraction | None, key: str | None) -> None:
        tally.events += 1
        tally.checksum ^= checksum
        if key is not None:
            tally.keys.add(key)
        if number is None:
            return
        tally.total += number
        tally.by_time += number * seconds(at) if self.feature.aggregation == Aggregation.WEIGHTED_SUM else ZERO
        tally.largest = number if tally.largest is None else max(tally.largest, number)
        tally.smallest = number if tally.smallest is None else min(tally.smallest, number)
        tally.latest = number
        if self.keeps_values:
            tally.values.append(number)

    def read(self, window: Span) -> Reading:
        """Return the quantity of a window. A running total counts from the first event on."""
        tally = self._between(self._counted_span(window))
        before = Tally()
        if self.feature.aggregation == Aggregation.WEIGHTED_SUM and self.feature.is_cumulative:
            before, tally = self._between(Span(FIRST, window.start)), self._between(window)
        quantity = self._quantity(tally, window, before.total)
        rounded = round_to(quantity, self.feature.places, self.feature.rounding)
        joined = before.join(tally)
        return Reading(rounded, joined.events, joined.checksum, joined.values)

    def _counted_span(self, window: Span) -> Span:
        return Span(FIRST, window.end) if self.feature.is_cumulative else window

    def _between(self, span: Span) -> Tally:
        tally = Tally()
        for start, part in zip(self.edges, self.slices, strict=True):
            if span.start <= start < span.end:
                tally = tally.join(part)
        return tally

    def _quantity(self, tally: Tally, window: Span, before: Fraction) -> Fraction:
        kind = self.feature.aggregation
        if kind == Aggregation.WEIGHTED_SUM:
            return before + _level(tally, window)
        if kind == Aggregation.COUNT:
            return Fraction(tally.events)
        if kind == Aggregation.UNIQUE_COUNT:
            return Fraction(len(tally.keys))
        if kind == Aggregation.AVERAGE:
            return tally.total / tally.events if tally.events else ZERO
        by_kind = {
            Aggregation.MAX: tally.largest,
            Aggregation.MIN: tally.smallest,
            Aggregation.LATEST: tally.latest,
        }
        return (by_kind[kind] or ZERO) if kind in by_kind else tally.total


def _level(tally: Tally, window: Span) -> Fraction:
    """Return the average level of a window in which each value changes the level at its time."""
    end, length = seconds(window.end), seconds(window.end) - seconds(window.start)
    return (tally.total * end - tally.by_time) / length if length > 0 else ZERO


def join_windows(readings: Sequence[Reading], feature: Feature) -> Fraction:
    """Return the quantity of windows that a pause separates.

    Sums add up; the largest, smallest and latest value carry over; averages weigh their events; of unique values, the
    larger window counts, so that no value is charged twice.
    """
    used = [reading for reading in readings if reading.events]
    if len(used) < 2:
        return (used or readings)[-1].quantity
    quantities = [reading.quantity for reading in used]
    if feature.aggregation in (Aggregation.MAX, Aggregation.UNIQUE_COUNT):
        return max(quantities)
    if feature.aggregation == Aggregation.MIN:
        return min(quantities)
    if feature.aggregation == Aggregation.LATEST:
        return quantities[-1]
    if feature.aggregation == Aggregation.AVERAGE:
        weighted = sum((reading.quantity * reading.events for reading in used), ZERO)
        return weighted / sum(reading.events for reading in used)
    return sum(quantities, ZERO)
