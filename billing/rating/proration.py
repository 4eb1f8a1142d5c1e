"""Proration of recurring fees by calendar days in the customer's time zone. Usage is never prorated.

A day with a clock change is one day. The day of a change belongs to the new plan, and the day of cancellation isn't
charged, so no day is both charged and credited. Example: a $30.00 fee for June, canceled on 21 June at any time of the
day: 20 of 30 days are $20.00.
"""

from datetime import datetime, timedelta
from fractions import Fraction

from customers.periods import Period, local_date


def calendar_days(start: datetime, end: datetime, timezone: str) -> int:
    """Count the local midnights from one moment to another: a day of 23 hours is a day. Negative when reversed."""
    return (local_date(end, timezone) - local_date(start, timezone)).days


def factor(period: Period, service: Period, timezone: str) -> Fraction:
    """Return which share of a period a service takes, exactly, from 0 to 1.

    The part of the service outside the period doesn't count. A period within one local day is measured in elapsed time,
    because it has no full day.
    """
    first, last = local_date(period.start, timezone), local_date(period.end, timezone)
    if first == last:
        return _elapsed_factor(period, service)
    start, end = max(local_date(service.start, timezone), first), min(local_date(service.end, timezone), last)
    return Fraction(max((end - start).days, 0), (last - first).days)


def _elapsed_factor(period: Period, service: Period) -> Fraction:
    length = period.end - period.start
    overlap = min(period.end, service.end) - max(period.start, service.start)
    if overlap <= timedelta(0) or length <= timedelta(0):
        return Fraction(0)
    microsecond = timedelta.resolution
    return Fraction(overlap // microsecond, length // microsecond)
