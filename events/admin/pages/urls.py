"""The admin pages of Usage Tracking that belong to no table: Event Debugger, fixes, dry run, Query tool, a panel."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from config.office.pages import add_pages
from events.admin.pages import debugger, fixes, query, unbilled


def urls(admin_site: AdminSite) -> list[URLPattern]:
    """List the pages' addresses, each behind the admin's login."""
    view = admin_site.admin_view
    return [
        path("events/debugger/", view(debugger.debugger), name="events_debugger"),
        path("events/debugger/feed/", view(debugger.live_feed), name="events_debugger_feed"),
        path("events/debugger/fix/", view(fixes.fix), name="events_debugger_fix"),
        path("events/debugger/dry-run/", view(debugger.dry_run_page), name="events_dry_run"),
        path("events/query/", view(query.query_page), name="events_query"),
        path("events/unbilled/", unbilled.UnbilledPanel.for_site(admin_site), name="events_unbilled"),
    ]


def attach() -> None:
    """Add the pages to the admin. Called once, when the apps are ready."""
    add_pages(urls)
