"""Recurring fees: a line is what is due by the phases, less what other invoices hold of the fee.

Fees are prorated by local days. The day of a change belongs to the new plan, the last day isn't charged. Nothing is due
during a trial or a pause. A fee that covers several billing periods, such as an annual one, is prorated to all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from billing.proofs.rater.kinds import PhaseKind
from billing.proofs.rater.numbers import ZERO, round_to
from billing.proofs.rater.subscription import Fee, Subscription
from billing.proofs.rater.time import Span, share


class Held(NamedTuple):
    """What another invoice holds of a fee: the amount, and the discount on it."""

    amount: Fraction
    discount: Fraction


@dataclass
class _Due:
    """A fee that is due in a period, for some share of it."""

    fee: Fee
    share: Fraction
    windows: list[Span]


@dataclass(frozen=True)
class FeeLine:
    """What a fee line charges, and the part of its discount that a credited fee reverses."""

    amount: Fraction
    discount_back: Fraction


def line_of(subscription: Subscription, price: int, full: Span, held: Sequence[Held], periods: int = 1) -> FeeLine:
    """Return a fee's line for its full period of so many billing periods, of which other invoices hold something."""
    due = round_to(_due_amount(subscription, price, full, periods), subscription.places)
    before = sum((part.amount for part in held), ZERO)
    discount = sum((part.discount for part in held), ZERO)
    difference = due - before
    if difference >= 0 or before <= 0:
        return FeeLine(difference, ZERO)
    return FeeLine(difference, round_to(discount * -difference / before, subscription.places))


def _due_amount(subscription: Subscription, price: int, full: Span, periods: int) -> Fraction:
    dues: dict[int, _Due] = {}
    for phase, window in subscription.within(full, PhaseKind.ACTIVE):
        for fee in subscription.versions[phase.version].fees:
            if fee.periods != periods:
                continue
            due = dues.setdefault(fee.price, _Due(fee, ZERO, []))
            due.share += share(full, window, subscription.zone)
            due.windows.append(window)
    if price not in dues:
        return ZERO
    due = dues[price]
    if subscription.prorates:
        return due.fee.amount * due.share
    return due.fee.amount if _is_first_or_last(due, list(dues.values())) else ZERO


def _is_first_or_last(due: _Due, dues: Sequence[_Due]) -> bool:
    """Return whether a fee is the one that a period without proration is charged: the first, in arrears the last."""
    rivals = [other for other in dues if other.fee.in_advance == due.fee.in_advance]
    if due.fee.in_advance:
        return due.windows[0].start == min(rival.windows[0].start for rival in rivals)
    return due.windows[-1].end == max(rival.windows[-1].end for rival in rivals)
