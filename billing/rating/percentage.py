"""Rate single events by a percentage price: a rate of each amount, free amounts, limits, a fixed amount per event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.money import ZERO, exact
from billing.rating.rate import HUNDRED, Rated, RatedPart, rate, rated
from billing.rating.terms import Model, Terms


@dataclass(slots=True)
class _Allowance:
    """The remaining free events and free amount. The allowance ends as soon as either is used up."""

    events: int | None
    amount: Decimal | None
    used: Decimal = ZERO

    def take(self, amount: Decimal) -> Decimal:
        """Take an event from the allowance and return how much of its amount is free."""
        if not self._is_open():
            return ZERO
        free = amount if self.amount is None else min(amount, self.amount)
        self.used += free
        if self.events is not None:
            self.events -= 1
        if self.amount is not None:
            self.amount -= free
        return free

    def covers(self, amount: Decimal) -> bool:
        """Return whether the whole event would be free."""
        return self._is_open() and (self.amount is None or amount <= self.amount)

    def _is_open(self) -> bool:
        if self.events is None and self.amount is None:
            return False
        return (self.events is None or self.events > 0) and (self.amount is None or self.amount > 0)


def free_first(amounts: Sequence[Decimal], units: Decimal | None) -> tuple[Decimal, list[Decimal]]:
    """Deduct free units from events in the order they occurred. Return the deducted units and the amounts to price.

    `units` of `None` are unlimited. An event within the free units isn't priced at all, and doesn't count against the
    price's own allowance. The remainder of the event that uses them up is priced as an event. A negative amount is kept
    and neither uses nor adds free units.

    >>> free_first([Decimal(30), Decimal(50), Decimal(20)], Decimal(60))
    (Decimal('60'), [Decimal('20'), Decimal('20')])
    """
    with exact():
        deducted, priced = ZERO, []
        for amount in amounts:
            remaining = None if units is None else units - deducted
            if amount >= 0 and (remaining is None or (remaining > 0 and amount <= remaining)):
                deducted += amount
            elif amount > 0 and remaining is not None and remaining > 0:
                deducted += remaining
                priced.append(amount - remaining)
            else:
                priced.append(amount)
        return deducted, priced


def rate_events(amounts: Iterable[Decimal], terms: Terms) -> Rated:
    """Price events by their amounts, in the order they occurred.

    An event within the allowance costs nothing, not even the minimum. An event that exceeds it costs the rate on the
    excess plus the full fixed amount. The minimum and maximum limit the cost of each event. A negative amount costs
    nothing and isn't credited. Prices of other models are rated on the sum of the amounts.

    2% plus 0.50 per event, 100 free: events of 80 and 70 cost 0 and 2% of 50 + 0.50 = 1.50.
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
