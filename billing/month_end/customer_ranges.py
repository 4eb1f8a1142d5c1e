"""The company's customers in ranges: a month end is calculated one range after the other, so memory stays flat."""

from collections.abc import Iterator
from dataclasses import dataclass

from customers.models import Customer, Subscription

SIZE = 500  # customers


@dataclass(frozen=True, slots=True)
class CustomerRange:
    """The customers from one primary key to another, both included."""

    first: int
    last: int


def customer_ranges() -> Iterator[CustomerRange]:
    """Cut all customers into ranges of at most 500, by primary key. One query for each range."""
    last = 0
    while keys := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:SIZE]):
        last = keys[-1]
        yield CustomerRange(keys[0], last)


def is_one_range() -> bool:
    """Whether all customers fit into one range and have at most as many subscriptions: a second's calculation."""
    tables = (Customer.objects.all(), Subscription.objects.all())
    return all(len(table.order_by().values_list("pk", flat=True)[: SIZE + 1]) <= SIZE for table in tables)
