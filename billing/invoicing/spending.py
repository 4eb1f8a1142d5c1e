"""What usage costs in any window of time, by the invoices' own rating. Only reads.

A window costs what the usage up to its end costs, less what the usage up to its start does, billing period by billing
period. So windows next to each other add up to the whole, also where tiers or free units run out inside one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.charges.next_invoice import CYCLE, NextInvoice
from billing.charges.subscription import BilledSubscription, period_in_force
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.subscriptions import load_subscriptions
from billing.lines import USAGE
from billing.money import ZERO
from config.refusals import Refused
from customers.periods import Period

MOST_PERIODS = 200


class CannotRate(Refused):
    """The usage can't be rated as things stand. The text says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one price charges for a feature's usage in the window."""

    subscription_id: int
    price_id: int
    feature_id: int
    currency: str
    amount: Decimal


def spent(subscription_ids: Collection[int], window: Period) -> list[Cost]:
    """Rate the usage of subscriptions in a window; a minimum commitment's top-up is not in it. Raises CannotRate."""
    subscriptions = load_subscriptions(subscription_ids)
    works: list[InvoiceRequest] = []
    signs: list[int] = []
    for subscription in subscriptions.values():
        for period in _periods(subscription, window):
            step = NextInvoice(CYCLE, period, period.end)
            works.append(InvoiceRequest(subscription, step, until=min(window.end, period.end)))
            signs.append(1)
            if window.start > period.start:
                works.append(InvoiceRequest(subscription, step, until=window.start))
                signs.append(-1)
    return _added_up(works, signs)


def _added_up(works: list[InvoiceRequest], signs: list[int]) -> list[Cost]:
    amounts: dict[tuple[int, int, int, str], Decimal] = defaultdict(lambda: ZERO)
    for computed, sign in zip(compute_invoices(works), signs, strict=True):
        if computed.problem:
            raise CannotRate(computed.problem)
        subscription = computed.work.subscription
        for line in computed.lines:
            if line.kind == USAGE and line.price_id is not None and line.feature_id is not None:
                key = (subscription.subscription_id, line.price_id, line.feature_id, subscription.currency)
                amounts[key] += sign * line.amount
    return [Cost(*key, amount) for key, amount in amounts.items()]


def _periods(subscription: BilledSubscription, window: Period) -> Iterator[Period]:
    """Give the billing periods that the window touches, clipped to the subscription's life."""
    at = max(window.start, subscription.started_at)
    end = window.end if subscription.ended_at is None else min(window.end, subscription.ended_at)
    for _ in range(MOST_PERIODS):
        if at >= end:
            return
        period = period_in_force(subscription, at)
        yield period
        at = period.end
    if at < end:
        raise CannotRate(f"That is more than {MOST_PERIODS} billing periods: ask for a shorter window.")
