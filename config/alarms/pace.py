"""How long alarms wait before they open, remind and clear."""

from datetime import timedelta

from django.conf import settings


def paced(*, seconds: float) -> timedelta:
    """Return a wait of so many seconds. Tests shorten all waits in the same proportion with ALARM_PACE.

    >>> paced(seconds=45).total_seconds()
    45.0
    """
    return timedelta(seconds=seconds * settings.ALARM_PACE)
