"""The company's customers in stretches: a month is worked out for one after the other, so memory stays flat."""

from collections.abc import Iterator
from dataclasses import dataclass

from customers.models import Customer, Subscription

AT_ONCE = 500  # customers


@dataclass(frozen=True, slots=True)
class CustomerRange:
    """The customers between two keys, both among them."""

    first: int
    last: int


def stretches() -> Iterator[CustomerRange]:
    """Cut all customers into stretches of at most 500, by their keys. One query a stretch."""
    last = 0
    while keys := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        last = keys[-1]
        yield CustomerRange(keys[0], last)


def is_one_stretch() -> bool:
    """Tell whether all customers are one stretch, with not many more subscriptions: worked out in about a second."""
    rows = (Customer.objects.all(), Subscription.objects.all())
    return all(len(each.order_by().values_list("pk", flat=True)[: AT_ONCE + 1]) <= AT_ONCE for each in rows)
