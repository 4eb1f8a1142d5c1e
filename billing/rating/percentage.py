"""Percentage prices over single events: a rate of each amount, allowances, limits and fixed amounts per event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.money import ZERO, exact
from billing.rating.rate import HUNDRED, Rated, RatedPart, rate, rated
from billing.rating.terms import Model, Terms


@dataclass(slots=True)
class _Allowance:
    """What is left free. It ends for good as soon as either limit, the events or their amount, is used up."""

    events: int | None
    amount: Decimal | None
    used: Decimal = ZERO

    def take(self, amount: Decimal) -> Decimal:
        """Use the allowance for an event and return how much of its amount is free."""
        if not self._open():
            return ZERO
        free = amount if self.amount is None else min(amount, self.amount)
        self.used += free
        if self.events is not None:
            self.events -= 1
        if self.amount is not None:
            self.amount -= free
        return free

    def covers(self, amount: Decimal) -> bool:
        """Tell whether the event would be wholly free."""
        return self._open() and (self.amount is None or amount <= self.amount)

    def _open(self) -> bool:
        if self.events is None and self.amount is None:
            return False
        return (self.events is None or self.events > 0) and (self.amount is None or self.amount > 0)


def free_first(amounts: Sequence[Decimal], units: Decimal | None) -> tuple[Decimal, list[Decimal]]:
    """Take free units off events, in the order they occurred; return how many were taken, and what is to be priced.

    `units` of `None` are unlimited. An event that the units cover wholly is left out: it pays nothing, and uses nothing
    of the price's own allowance. What is left of the one that uses them up is an event to be priced. A negative amount
    stays, and takes and gives none.
    """
    with exact():
        taken, rest = ZERO, []
        for amount in amounts:
            left = None if units is None else units - taken
            if amount >= 0 and (left is None or (left > 0 and amount <= left)):
                taken += amount
            elif amount > 0 and left is not None and left > 0:
                taken += left
                rest.append(amount - left)
            else:
                rest.append(amount)
        return taken, rest


def rate_events(amounts: Iterable[Decimal], terms: Terms) -> Rated:
    """Price events by their amounts, in the order they occurred.

    An event within the allowance pays nothing, not even the minimum. One that crosses it pays the rate on the excess
    and the fixed amount in full. Minimum and maximum apply to what an event pays in all. A negative amount pays
    nothing and gives nothing back. Terms other than percentage are priced on the sum of the amounts.
    """
    with exact():
        if terms.model is not Model.PERCENTAGE:
            return rate(sum(amounts, ZERO), terms)
        allowance = _Allowance(terms.free_events, terms.free_amount)
        total = charged = fees = ZERO
        for amount in amounts:
            total += amount
            if amount < 0 or allowance.covers(amount):
                allowance.take(max(amount, ZERO))
                continue
            excess = amount - allowance.take(amount)
            charged += excess
            fees += _event_fee(excess, terms)
        parts = [RatedPart("percentage", fees, charged, rate_percent=terms.rate_percent)] if fees or charged else []
        return rated(parts, terms, quantity=total, free_units_used=allowance.used, billable_quantity=charged)


def _event_fee(excess: Decimal, terms: Terms) -> Decimal:
    fee = excess * terms.rate_percent / HUNDRED + terms.fixed_amount_per_event
    if terms.per_event_min is not None:
        fee = max(fee, terms.per_event_min)
    if terms.per_event_max is not None:
        fee = min(fee, terms.per_event_max)
    return fee
