"""The usage of a billed period: its windows, its free units, its lines.

Usage is never prorated. Each price rates the windows in which it was charged, with the free units of its plan version.
A pause in between doesn't start them again, nor do agreed terms that keep both the price and its free units. A running
total is charged once, at the end of its last window. A period that begins within a billing period is charged the whole
billing period so far, less the part before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from billing.proofs.rater.kinds import PhaseKind, Reset, Unit
from billing.proofs.rater.numbers import ZERO, round_to
from billing.proofs.rater.pricing import Cost, EventPrices, Price, cost_of, limited
from billing.proofs.rater.subscription import NOTHING_FREE, FreeUnits, Subscription
from billing.proofs.rater.tally import Ledger, Reading, join_windows
from billing.proofs.rater.time import Span, cut_days, overlap


@dataclass(frozen=True)
class Allowance:
    """Free units for the usage of some windows. Usage in `earlier` has taken from them already."""

    windows: tuple[Span, ...]
    units: Fraction | None
    earlier: Span | None = None


@dataclass(frozen=True)
class Charge:
    """A price with its free units and the windows that it charges. `active` are those of its least amount."""

    price: Price
    free: FreeUnits
    is_trial: bool
    windows: tuple[Span, ...]
    active: tuple[Span, ...]

    def is_continued_by(self, other: "Charge") -> bool:
        """Return whether both charge the same price, in a trial or with the same free units."""
        same_units = self.is_trial or self.free == other.free
        return self.price.number == other.price.number and self.is_trial == other.is_trial and same_units


@dataclass(frozen=True)
class Line:
    """What a price charges: the figures of its usage line, and what is missing to its least amount."""

    price: int
    quantity: Fraction = ZERO
    free: Fraction = ZERO
    billable: Fraction = ZERO
    amount: Fraction = ZERO
    missing: Fraction = ZERO
    events: int = 0
    checksum: int = 0

    def plus(self, other: "Line", sign: int = 1) -> "Line":
        return Line(
            self.price,
            self.quantity + sign * other.quantity,
            self.free + sign * other.free,
            self.billable + sign * other.billable,
            self.amount + sign * other.amount,
            self.missing + sign * other.missing,
            self.events + sign * other.events,
            self.checksum ^ other.checksum,
        )


class PeriodUsage:
    """The usage charges of a period. First list what events they need, then add these, then ask for the lines."""

    def __init__(self, subscription: Subscription, period: Span) -> None:
        self.subscription = subscription
        start = max(subscription.full_period(period.start).start, subscription.started_at)
        whole = Span(min(start, period.start), period.end)
        self.charges = list_charges(subscription, whole)
        self.before = list_charges(subscription, Span(whole.start, period.start)) if whole.start < period.start else []
        self.ledgers = self._open_ledgers()

    def lines(self) -> list[Line]:
        """Return one line for each price, without lines that charge and count nothing."""
        total: dict[int, Line] = {}
        for charge in self.charges:
            line = self._line(charge)
            earlier = self._same_price(charge)
            if earlier is not None:
                line = line.plus(self._line(earlier), -1)
            total[line.price] = total.get(line.price, Line(line.price)).plus(line)
        return [line for line in total.values() if line.events or line.quantity or line.amount or line.missing]

    def _same_price(self, charge: Charge) -> Charge | None:
        """Find what an earlier invoice charged of the price; of a running total, by whichever price."""
        feature = self.subscription.features[charge.price.feature]
        for other in self.before:
            if other.is_continued_by(charge):
                return other
            if feature.is_cumulative and other.price.feature == feature.number:
                return other
        return None

    def _open_ledgers(self) -> dict[int, Ledger]:
        windows: dict[int, list[Span]] = {}
        keeps_values: set[int] = set()
        for charge in (*self.charges, *self.before):
            for allowance in self._allowances(charge):
                earlier = [] if allowance.earlier is None else [allowance.earlier]
                windows.setdefault(charge.price.feature, []).extend([*allowance.windows, *earlier])
            if charge.price.prices_events and not charge.is_trial:
                keeps_values.add(charge.price.feature)
        features = self.subscription.features
        return {
            number: Ledger(features[number], spans, keeps_values=number in keeps_values)
            for number, spans in windows.items()
        }

    def _line(self, charge: Charge) -> Line:
        ledger = self.ledgers[charge.price.feature]
        parts = [self._part(allowance, ledger) for allowance in self._allowances(charge)]
        line = Line(charge.price.number)
        for part in parts:
            line = line.plus(part.line)
        if charge.is_trial:
            return replace(line, free=sum((max(part.line.quantity, ZERO) for part in parts), ZERO))
        cost = self._cost(charge, parts, line)
        amount = round_to(cost.amount, self.subscription.places)
        line = replace(line, free=line.free + cost.free, billable=cost.billable, amount=amount)
        return replace(line, missing=self._missing(charge, amount))

    def _cost(self, charge: Charge, parts: list["Part"], line: Line) -> Cost:
        if not charge.price.prices_events:
            used = sum((max(part.line.quantity, ZERO) for part in parts), ZERO)
            free = sum((part.line.free for part in parts), ZERO)
            return cost_of(used - free, charge.price)
        single = EventPrices(charge.price)
        free = ZERO
        for part in parts:
            free += part.price_events(single)
        # The free units of the plan were taken from single events, not from their sum.
        return Cost(
            limited(single.cost.amount, charge.price), single.cost.billable, single.cost.free + free - line.free
        )

    def _part(self, allowance: Allowance, ledger: Ledger) -> "Part":
        readings = [ledger.read(window) for window in allowance.windows]
        quantity = join_windows(readings, ledger.feature)
        used_before = ZERO if allowance.earlier is None else ledger.read(allowance.earlier).quantity
        left = None if allowance.units is None else max(allowance.units - max(used_before, ZERO), ZERO)
        free = max(quantity, ZERO) if left is None else min(max(quantity, ZERO), left)
        checksum = 0
        for reading in readings:
            checksum ^= reading.checksum
        events = sum(reading.events for reading in readings)
        return Part(Line(0, quantity, free, events=events, checksum=checksum), readings, left)

    def _missing(self, charge: Charge, amount: Fraction) -> Fraction:
        """Return what is missing to the least amount of a price, which is prorated to the active days."""
        amount_of_price = charge.price.least
        if charge.price.least_quantity is not None:
            amount_of_price = cost_of(charge.price.least_quantity, charge.price).amount
        if amount_of_price is None:
            return ZERO
        least = amount_of_price * self.subscription.share_of_period(charge.active)
        return max(round_to(least, self.subscription.places) - amount, ZERO)

    def _allowances(self, charge: Charge) -> list[Allowance]:
        if charge.is_trial:
            return [Allowance(charge.windows, None)]
        return list(list_allowances(self.subscription, charge))


@dataclass
class Part:
    """The usage of one allowance."""

    line: Line
    readings: list[Reading]
    left: Fraction | None

    def price_events(self, prices: EventPrices) -> Fraction:
        """Take the free units off single events and have the rest priced; return how many were free.

        A negative event takes no free units and returns none. The rest of the event that uses them up is an event.
        """
        taken = ZERO
        for value in (value for reading in self.readings for value in reading.values):
            left = None if self.left is None else self.left - taken
            if value >= 0 and (left is None or (left > 0 and value <= left)):
                taken += value
            elif value > 0 and left is not None and left > 0:
                taken += left
                prices.add(value - left)
            else:
                prices.add(value)
        return taken


def list_charges(subscription: Subscription, span: Span) -> list[Charge]:
    """List which prices charge which windows of a span."""
    windows: dict[tuple[int, FreeUnits | None], list[Span]] = {}
    active: dict[int, list[Span]] = {}
    prices: dict[int, Price] = {}
    for phase, window in subscription.within(span, PhaseKind.ACTIVE, PhaseKind.TRIAL):
        version = subscription.versions[phase.version]
        for price in version.prices:
            prices[price.number] = price
            free = None if phase.kind == PhaseKind.TRIAL else version.free_units(price.feature)
            _append(windows.setdefault((price.number, free), []), window)
            if phase.kind == PhaseKind.ACTIVE:
                _append(active.setdefault(price.feature, []), window)
    charges = []
    for (number, free), spans in windows.items():
        price, is_trial = prices[number], free is None
        is_cumulative = subscription.features[price.feature].is_cumulative
        charged = tuple(spans[-1:] if is_cumulative else spans)
        due_for = tuple(active[price.feature]) if is_cumulative and not is_trial else charged
        charges.append(Charge(price, free or NOTHING_FREE, is_trial, charged, due_for))
    return [charge for charge in charges if _is_due(charge, charges, subscription)]


def _append(windows: list[Span], window: Span) -> None:
    """Append a window, or extend the last one that it continues."""
    if windows and windows[-1].end == window.start:
        windows[-1] = Span(windows[-1].start, window.end)
    else:
        windows.append(window)


def _is_due(charge: Charge, charges: Iterable[Charge], subscription: Subscription) -> bool:
    """Return whether a charge counts: a running total is charged once, by the version that was in force last."""
    if not subscription.features[charge.price.feature].is_cumulative:
        return True
    ends = [other.windows[-1].end for other in charges if other.price.feature == charge.price.feature]
    return charge.windows[-1].end == max(ends)


def list_allowances(subscription: Subscription, charge: Charge) -> Iterator[Allowance]:
    """Yield the allowances that the windows of a charge are divided into.

    Free units of a period, or of a running total whatever its reset, are one allowance. Daily ones follow local days,
    weekly and monthly ones count from the billing anchor; usage since the price came into force has taken from them.
    """
    free = charge.free
    is_cumulative = subscription.features[charge.price.feature].is_cumulative
    if not free.units or is_cumulative or free.reset == Reset.PERIOD:
        units = free.units
        if units is not None and free.is_prorated:
            units *= subscription.share_of_period(charge.active)
        yield Allowance(charge.windows, units)
    elif free.reset == Reset.NEVER:
        start, first = charge.windows[0].start, subscription.first_active()
        yield Allowance(charge.windows, free.units, Span(first, start) if first < start else None)
    else:
        for window in charge.windows:
            yield from _repeated(subscription, charge, window)


def _repeated(subscription: Subscription, charge: Charge, window: Span) -> Iterator[Allowance]:
    free = charge.free
    if free.reset == Reset.DAILY:
        for day in cut_days(window, subscription.zone):
            yield Allowance((day,), free.units)
        return
    units = {Reset.WEEKLY: Unit.WEEK, Reset.MONTHLY: Unit.MONTH}
    since = subscription.active_since(charge.price, free)
    for full in subscription.cycle.with_unit(units[free.reset]).cut(window):
        part = overlap(full, window)
        if part is not None:
            start = max(full.start, since)
            yield Allowance((part,), free.units, Span(start, part.start) if start < part.start else None)
