"""Where things open in the admin. A page that isn't there gives an empty address, and is then shown without a link."""

from datetime import datetime

from django.utils import timezone

from config.office.links import admin_url


def event_url(event_id: str) -> str:
    """Return the address of the debugger's page of an event."""
    return admin_url("events_debugger", event=event_id)


def occurred_between(since: datetime | None, until: datetime | None) -> dict[str, str]:
    """Write the query that asks OccurredRangeFilter for a stretch of time; an edge that is None stays open.

    In the current time zone, which the filter reads it in again.
    """
    query: dict[str, str] = {}
    for edge, moment in (("from", since), ("to", until)):
        if moment is not None:
            local = timezone.localtime(moment)
            query |= {
                f"occurred_at_{edge}_0": local.date().isoformat(),
                f"occurred_at_{edge}_1": local.time().isoformat(),
            }
    return query
