"""What usage costs in any window of time, by the same rating as invoices. Only reads.

In each billing period, the cost of a window is the cost of the usage up to its end minus the cost of the usage up to
its start. So the costs of adjoining windows add up, also if tiers or free units run out within one. Example: 5 free
units, then $1.00 each; 4 units are used in the first half of the month and 3 in the second. The halves cost $0.00 and
$2.00, the month $2.00. Quantities are those of the lines, so each is the quantity that its amount was calculated from:
3 units at $1.00, then, after a change of plan, 2 at $2.00, and not twice the 5 units of the month.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription, period_in_force
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.subscriptions import load_subscriptions
from billing.kinds import InvoiceKind, LineKind
from billing.money import ZERO, exact
from config.refusals import Refused
from customers.periods import Period

MOST_PERIODS = 200


class CannotRate(Refused):
    """The usage can't be rated. The message says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The quantity that one price rates in the window, free units included, and what it charges for it."""

    subscription_id: int
    price_id: int
    feature_id: int
    currency: str
    quantity: Decimal
    amount: Decimal


def calculate_costs(subscription_ids: Collection[int], window: Period) -> list[Cost]:
    """Rate the usage of subscriptions in a window, without minimum commitments. Raises `CannotRate`."""
    subscriptions = load_subscriptions(subscription_ids)
    requests: list[InvoiceRequest] = []
    signs: list[int] = []
    for subscription in subscriptions.values():
        for period in _periods(subscription, window):
            invoice = NextInvoice(InvoiceKind.CYCLE, period, period.end)
            requests.append(InvoiceRequest(subscription, invoice, until=min(window.end, period.end)))
            signs.append(1)
            if window.start > period.start:
                requests.append(InvoiceRequest(subscription, invoice, until=window.start))
                signs.append(-1)
    return _sum_costs(requests, signs)


def _sum_costs(requests: list[InvoiceRequest], signs: list[int]) -> list[Cost]:
    quantities: dict[tuple[int, int, int, str], Decimal] = defaultdict(lambda: ZERO)
    amounts: dict[tuple[int, int, int, str], Decimal] = defaultdict(lambda: ZERO)
    for computed, sign in zip(compute_invoices(requests), signs, strict=True):
        if computed.problem:
            raise CannotRate(computed.problem)
        subscription = computed.request.subscription
        for line in computed.lines:
            if line.kind == LineKind.USAGE and line.price_id is not None and line.feature_id is not None:
                key = (subscription.subscription_id, line.price_id, line.feature_id, subscription.currency)
                with exact():
                    quantities[key] += sign * line.quantity
                    amounts[key] += sign * line.amount
    return [Cost(*key, quantities[key], amount) for key, amount in amounts.items() if amount or quantities[key]]


def _periods(subscription: BilledSubscription, window: Period) -> Iterator[Period]:
    """Yield the billing periods that the window overlaps, between the subscription's start and end."""
    at = max(window.start, subscription.started_at)
    end = window.end if subscription.ended_at is None else min(window.end, subscription.ended_at)
    for _ in range(MOST_PERIODS):
        if at >= end:
            return
        period = period_in_force(subscription, at)
        yield period
        at = period.end
    if at < end:
        raise CannotRate(f"The window spans more than {MOST_PERIODS} billing periods. Choose a shorter one.")
