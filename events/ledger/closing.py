"""Record changes of usage that was already invoiced. Billing sets the marks and reads the records.

A batch, replay, void or recount that changes an hour before its customer's mark records the hour in the same commit, so
that no change of invoiced usage is missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from events.ledger.replaying import wait_for_running_batches
from events.models import TouchedUsage, UsageMark
from events.sql import section
from events.usage.meter import floor_hour


@dataclass(frozen=True, slots=True)
class Touched:
    """An hour whose usage of a feature changed after it was closed."""

    customer_id: int
    feature_id: int
    hour: datetime


def close_usage(until: Mapping[int, datetime]) -> None:
    """Record from now on which changes affect these customers' usage before a given time, by customer id.

    Call it before reading the usage to invoice, outside a transaction: it returns once every batch without the marks
    has ended, so that a change is either recorded or included in the usage. A mark never moves back. Safe to repeat.
    """
    if until:
        mark_closed(until)
        wait_for_running_batches()


def mark_closed(until: Mapping[int, datetime]) -> None:
    """Set the marks of these customers, who have no usage in a batch that is being processed."""
    with connection.cursor() as cursor:
        cursor.execute(section("late", "close"), {"customers": list(until), "until": list(until.values())})


def marks_of(customer_ids: list[int]) -> dict[int, datetime]:
    """Return the marks of the customers that have one, by customer id."""
    rows = UsageMark.objects.filter(customer__among=customer_ids)
    return dict(rows.values_list("customer_id", "closed_until"))


def take_touched(limit: int) -> list[Touched]:
    """Remove and return the oldest records, each hour once. Needs a transaction. Safe to run concurrently."""
    with connection.cursor() as cursor:
        cursor.execute(section("late", "take"), {"limit": limit})
        return [Touched(*row) for row in cursor.fetchall()]


def has_touched(customer_id: int, start: datetime, end: datetime) -> set[int]:
    """Return the features whose usage by the customer in [start, end) has unprocessed changes."""
    rows = TouchedUsage.objects.filter(customer=customer_id, hour__gte=floor_hour(start), hour__lt=end)
    return set(rows.values_list("feature_id", flat=True))
