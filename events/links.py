"""Where things open in the admin. A page that isn't there gives an empty address, and is then shown without a link."""

from config.office.links import admin_url


def event_url(event_id: str) -> str:
    """Return the address of the debugger's page of an event."""
    return admin_url("events_debugger", event=event_id)
