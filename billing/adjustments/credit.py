"""Which prepaid credit pays an amount. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from billing.money import ZERO


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
