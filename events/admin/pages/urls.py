"""The admin pages of Usage Tracking that belong to no table."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from config.office.pages import add_pages
from events.admin.pages.charts import EventCharts
from events.admin.pages.debugger import Debugger, DryRun, LiveFeed
from events.admin.pages.fixes import FixEffect, FixPage
from events.admin.pages.query import QueryTool
from events.admin.pages.search import EventSearch
from events.admin.pages.unbilled import UnbilledPanel


def urls(admin_site: AdminSite) -> list[URLPattern]:
    """Return the addresses of the pages."""
    return [
        path("events/charts/", EventCharts.for_site(admin_site), name="events_charts"),
        path("events/debugger/", Debugger.for_site(admin_site), name="events_debugger"),
        path("events/debugger/feed/", LiveFeed.for_site(admin_site), name="events_debugger_feed"),
        path("events/debugger/fix/", FixPage.for_site(admin_site), name="events_debugger_fix"),
        path("events/debugger/fix/effect/", FixEffect.for_site(admin_site), name="events_debugger_fix_effect"),
        path("events/debugger/dry-run/", DryRun.for_site(admin_site), name="events_dry_run"),
        path("events/query/", QueryTool.for_site(admin_site), name="events_query"),
        path("events/search/", EventSearch.for_site(admin_site), name="events_search"),
        path("events/unbilled/", UnbilledPanel.for_site(admin_site), name="events_unbilled"),
    ]


def attach() -> None:
    """Add the pages to the admin. Call once, from `AppConfig.ready`."""
    add_pages(urls)
