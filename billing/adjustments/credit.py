"""Which prepaid credit pays an amount. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.money import ZERO
from customers.periods import INSTANT


@dataclass(slots=True)
class AvailableCredit:
    """The remaining amount of one grant of prepaid credit."""

    grant_id: int
    available: Decimal
    expires_at: datetime | None = None


def is_unexpired(expires_at: datetime | None, at: datetime) -> bool:
    """Return whether credit can be used at a moment. It can't be used from the moment of its expiry."""
    return expires_at is None or expires_at > at


def credit_moment(period_end: datetime | None, now: datetime) -> datetime:
    """Return the moment at which credit must not have expired to pay an invoice that is calculated or finalized now.

    It is the last moment of the invoice's period, or now if the period isn't over, or if there is none. September's
    usage, invoiced on 4 October, is paid by credit that is valid until 1 October, but not by credit until 30 September.
    """
    return now if period_end is None else min(now, period_end - INSTANT)


def take_credit(available: Iterable[Decimal], amount: Decimal) -> list[Decimal]:
    """Return how much of each credit is used to pay an amount, in the order given. A negative amount uses none.

    Credits of 30, 100 and 5 pay 80 with 30, 50 and 0.
    """
    used = []
    for credit in available:
        part = max(min(credit, amount), ZERO)
        amount -= part
        used.append(part)
    return used


def reserve_credit(credit: Iterable[AvailableCredit], amount: Decimal, at: datetime) -> Decimal:
    """Use credit that hasn't expired at the moment for an amount: reduce the credit, and return how much was used."""
    usable = [grant for grant in credit if is_unexpired(grant.expires_at, at)]
    used = take_credit([grant.available for grant in usable], amount)
    for grant, part in zip(usable, used, strict=True):
        grant.available -= part
    return sum(used, ZERO)
