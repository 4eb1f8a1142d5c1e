"""Unfold's settings: the look of the admin. The sidebar and the search are in `config.admin`."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse


def logo(request: HttpRequest) -> str:
    """Return the address of the logo, which is also the favicon."""
    return static("config/favicon.svg")


def stylesheet(request: HttpRequest) -> str:
    """Return the address of our style sheet."""
    return static("config/admin.css")


def shell_script(request: HttpRequest) -> str:
    """Return the address of the script of the frame: the sidebar, and controls for the keyboard."""
    return static("config/shell.js")


def charts_script(request: HttpRequest) -> str:
    """Return the address of the script that draws charts."""
    return static("config/charts.js")


def environment(request: HttpRequest) -> list[str]:
    """Label every page, so that a trial installation isn't mistaken for the live one."""
    return ["Live", "success"] if settings.HTTPS else ["Local", "info"]


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the links of the user's menu."""
    links = [{"title": "Sign-in and security", "link": reverse("mfa_index")}]
    if request.user.is_authenticated and request.user.has_usable_password():
        links.append({"title": "Change password", "link": reverse("admin:password_change")})
    return links


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Countinghouse",
    "SITE_HEADER": "Countinghouse",
    "SITE_SUBHEADER": "billing.admin.company.company_name",
    "SITE_ICON": logo,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": logo}],
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "ENVIRONMENT": environment,
    "DASHBOARD_CALLBACK": "billing.admin.home.dashboard_callback",
    "STYLES": [stylesheet],
    "SCRIPTS": [shell_script, charts_script],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.7)",
            "100": "oklch(95.3% .051 180.8)",
            "200": "oklch(91% .096 180.4)",
            "300": "oklch(85.5% .138 181.1)",
            "400": "oklch(77.7% .152 181.9)",
            "500": "oklch(70.4% .14 182.5)",
            "600": "oklch(51.1% .096 186.4)",
            "700": "oklch(45% .085 187)",
            "800": "oklch(38.6% .063 188.4)",
            "900": "oklch(32% .052 188.8)",
            "950": "oklch(27.7% .046 192.5)",
        },
    },
    "ACCOUNT": {"navigation": account_links},
    "COMMAND": {"search_models": False, "show_history": True},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.admin.sidebar.navigation",
    },
}
