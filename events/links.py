"""Addresses of usage tracking's admin pages. Without the page, the address is empty and no link is shown."""

from datetime import datetime

from django.utils import timezone

from config.office.links import admin_url


def event_url(event_id: str) -> str:
    """Return the address of an event's page in the debugger."""
    return admin_url("events_debugger", event=event_id)


def occurred_between(since: datetime | None, until: datetime | None) -> dict[str, str]:
    """Return the query parameters of the list of events for a time range; None leaves that end open."""
    return between("occurred_at", since, until)


def between(column: str, since: datetime | None, until: datetime | None) -> dict[str, str]:
    """Return the query parameters of a list's time filter; None leaves that end open.

    In the current time zone, as the filter reads them.
    """
    query: dict[str, str] = {}
    for edge, moment in (("from", since), ("to", until)):
        if moment is not None:
            local = timezone.localtime(moment)
            query |= {
                f"{column}_{edge}_0": local.date().isoformat(),
                f"{column}_{edge}_1": local.time().isoformat(),
            }
    return query
