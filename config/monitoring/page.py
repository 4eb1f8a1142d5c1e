"""The page System: processes, schedules, queues, the database, and what is wrong."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path

from config.db.clock import read_database_clock
from config.monitoring.disk import write_size
from config.monitoring.status import SystemStatus, read_status
from config.office.pages import AdminPage, add_pages


class SystemPage(AdminPage):
    """Show the state of the installation, by the database's clock."""

    title = "System"
    template_name = "admin/config/system.html"
    permission = "config.view_alarm"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        status = read_status(now=read_database_clock())
        return self.render(system=status, figures=list_figures(status))


def list_figures(status: SystemStatus) -> list[tuple[str, str]]:
    """Return the figures of the release and the database as texts."""
    growth = status.database_growth
    figures = [
        ("Release", status.version),
        ("Database", write_size(status.database_bytes)),
        ("Growth per day, last week", "not known yet" if growth is None else write_size(growth)),
    ]
    backup = status.backed_up_at
    figures.append(("Last verified backup", f"{backup:%Y-%m-%d %H:%M} UTC" if backup else "none"))
    if status.disk:
        figures.append(("Free on its disk", f"{write_size(status.disk.free)} of {write_size(status.disk.total)}"))
    if status.days_left is not None:
        figures.append(("Lasts", "more than a year" if status.days_left > 365 else f"{status.days_left} days"))
    return figures


def urls(admin_site: AdminSite) -> list[URLPattern]:
    """Return the address of the page."""
    return [path("system/", SystemPage.for_site(admin_site), name="system")]


def attach() -> None:
    """Add the page to the admin. Call once, from `AppConfig.ready`."""
    add_pages(urls)
