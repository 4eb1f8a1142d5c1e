"""Usage that was invoiced, and what counts into it afterwards. Billing sets the marks and takes the notes.

A batch, a replay, a void or a recount that changes an hour before its customer's mark notes that hour in its own
commit, so that no change of invoiced usage goes unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    """Note from now on what changes these customers' usage before a moment, by customer id.

    Call it before the usage is read to be invoiced, and outside of a transaction: it returns once every batch that
    didn't know the marks has ended, so what isn't noted is there to be read. A mark never goes back; a second call
    changes nothing.
    """
    if not until:
        return
    with connection.cursor() as cursor:
        cursor.execute(section("late", "close"), {"customers": list(until), "until": list(until.values())})
    wait_for_running_batches()


def marks_of(customer_ids: list[int]) -> dict[int, datetime]:
    """Give the marks of those customers that have one."""
    rows = UsageMark.objects.filter(customer__among=customer_ids)
    return dict(rows.values_list("customer_id", "closed_until"))


def take_touched(limit: int) -> list[Touched]:
    """Take the oldest notes, each hour once. Needs a transaction: the notes go when it commits.

    Safe side by side: a note is taken once.
    """
    with connection.cursor() as cursor:
        cursor.execute(section("late", "take"), {"limit": limit})
        return [_touched(row) for row in cursor.fetchall()]


def _touched(row: tuple[Any, ...]) -> Touched:
    return Touched(*row)


def has_touched(customer_id: int, start: datetime, end: datetime) -> set[int]:
    """Give the features of which a customer's usage in [start, end) has notes that nobody took yet."""
    rows = TouchedUsage.objects.filter(customer=customer_id, hour__gte=floor_hour(start), hour__lt=end)
    return set(rows.values_list("feature_id", flat=True))
