"""Proration: what part of a recurring fee a part of its period costs. Usage is never prorated.

Lengths are calendar days in the customer's time zone, whatever the clock does on them. The day of a change belongs
to the new state and the day of termination isn't charged, so the charge and the credit of a day never overlap.
"""

from datetime import datetime, timedelta
from fractions import Fraction

from customers.periods import Period, local_date


def calendar_days(start: datetime, end: datetime, timezone: str) -> int:
    """Count the local midnights from one moment to another: a day of 23 hours is a day. Negative when reversed."""
    return (local_date(end, timezone) - local_date(start, timezone)).days


def factor(period: Period, service: Period, timezone: str) -> Fraction:
    """Return how much of a period a service takes up, exactly, from 0 to 1.

    Only what lies inside the period counts. A period that begins and ends on one local day is measured in elapsed
    time, having no days.
    """
    first, last = local_date(period.start, timezone), local_date(period.end, timezone)
    if first == last:
        return _elapsed_factor(period, service)
    start, end = max(local_date(service.start, timezone), first), min(local_date(service.end, timezone), last)
    return Fraction(max((end - start).days, 0), (last - first).days)


def _elapsed_factor(period: Period, service: Period) -> Fraction:
    whole = period.end - period.start
    part = min(period.end, service.end) - max(period.start, service.start)
    if part <= timedelta(0) or whole <= timedelta(0):
        return Fraction(0)
    microsecond = timedelta.resolution
    return Fraction(part // microsecond, whole // microsecond)
